"""How a target is brought up in a world of the lab: one folder or file a backend."""

"""What attacks are made with: how one is defined, found and put in place, and the session that it acts on."""

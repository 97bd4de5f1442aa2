"""What the attacker does: one file an attack, pure scripts that run without a socket; `interpose` plays them."""

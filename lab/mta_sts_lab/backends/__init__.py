"""How a target is brought up: in this process, in Docker, ... One protocol, one registry (`backends.registry`)."""

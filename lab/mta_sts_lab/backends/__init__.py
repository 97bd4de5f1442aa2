"""The ways to start a target: in this process, in Docker, as a process of this machine; see `backends.registry`."""

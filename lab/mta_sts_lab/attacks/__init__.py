"""The attacks. Each module here is one, and is found by being here. `toolkit` has what they share."""

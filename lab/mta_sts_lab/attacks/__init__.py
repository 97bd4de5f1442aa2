"""The attacks: each module here is one, found by its place. `toolkit` is what they are made with."""

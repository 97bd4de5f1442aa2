"""Docker: images, the network of a run, the lab's container and the target's, and what becomes of them."""

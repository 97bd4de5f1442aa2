"""The runner: it plays cases against a target and writes the record. It judges nothing."""

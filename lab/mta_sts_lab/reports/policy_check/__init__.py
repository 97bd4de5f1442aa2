"""What `sts-lab policy-check` says, for people and for programs."""

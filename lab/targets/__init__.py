"""Targets: sending mail servers that keep the contract in `lab.targets.contract`."""

"""Targets: sending mail servers that keep the contract in `mta_sts_lab.targets.contract`."""

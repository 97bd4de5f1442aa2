"""Targets: the sending mail servers under test, by the contract in `mta_sts_lab.targets.contract`."""

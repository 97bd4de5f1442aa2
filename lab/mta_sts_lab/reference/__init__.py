"""A correct MTA-STS and TLS-RPT sender: the embedded target, the oracle of the scenarios, and the base of the flaws."""

"""`python -m mta_sts_lab` is `sts-lab`."""

from mta_sts_lab.cli import main

main()

"""`python -m lab` is `sts-lab`."""

from lab.cli import main

main()

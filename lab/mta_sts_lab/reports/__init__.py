"""Output of a run: pure functions from the record and the verdicts to text and files. They decide nothing."""

"""What `sts-lab report-check` writes: text for the terminal, JSON (`report-check.schema.json`), and a page in HTML."""

"""The kinds of checks, one a file; `mta_sts_lab.exercises.registry.kinds` imports them."""

"""The checks of the judge: a file a family."""

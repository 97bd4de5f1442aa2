"""Grammars and registries of RFC 8461 and RFC 8460. Pure: no I/O, and nothing of the mail server under test."""

"""Benchmarks, not tests: a slow machine makes a figure worse, never a build red."""

"""The service behind every command: plan, play, judge, write."""

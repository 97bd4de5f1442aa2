"""A lesson in the browser: one HTML page that plays what is on the record of a scenario, step by step."""

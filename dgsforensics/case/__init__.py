"""The case file: what was scanned, what came out, what reviewers decided, what was moved."""

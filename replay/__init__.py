"""The past through the same engine."""

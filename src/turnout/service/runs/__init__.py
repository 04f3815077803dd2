"""Runs: what was asked, what became of it, what it logged and left."""

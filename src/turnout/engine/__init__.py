"""Decisions without I/O: pure functions from what is known to what to do next."""

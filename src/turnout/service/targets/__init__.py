"""Targets of the workspace: their rows, their secrets, and the live objects made from them."""

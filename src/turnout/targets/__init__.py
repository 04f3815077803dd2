"""Compute targets: where runs happen."""

"""Snapshots: taken in by the bundle, given out again for a restore."""

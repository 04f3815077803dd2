"""Measurements against plain Python and the peers: `make bench`."""

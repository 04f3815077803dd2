"""Managed clusters: their nodes, who waits for them, and the loop that hands them out."""

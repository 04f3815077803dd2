"""Quotas: what the clusters, targets and runs of a workspace may come to."""

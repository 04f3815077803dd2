"""Secrets of the workspace, for scripts and notebooks."""

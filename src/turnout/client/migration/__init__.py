"""What scripts and notebooks of v1 use, and whether it is served: read, never run."""

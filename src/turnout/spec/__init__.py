"""The vocabulary: what a run, a target and an environment are. Frozen records, no I/O."""

"""Engines: what clusters of more than one machine are made on. Kept as targets are."""

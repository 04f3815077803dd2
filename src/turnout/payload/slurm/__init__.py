"""Slurm beneath a cluster: what runs beside its commands (an agent) and on its nodes."""

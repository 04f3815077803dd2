"""The service: the only owner of truth. Routes are thin, logic is per domain, loops work."""

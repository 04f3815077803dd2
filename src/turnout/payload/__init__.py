"""What travels to a target: standard library only, Python 3.8, light to import."""

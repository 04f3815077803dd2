"""Places where commands run, and the client of the agent that serves run folders there."""

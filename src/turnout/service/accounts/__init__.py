"""Who may ask: tokens, and the one place that lets a request in."""

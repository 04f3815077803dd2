"""What the workspace keeps for environments: their names, logins at registries, settings."""

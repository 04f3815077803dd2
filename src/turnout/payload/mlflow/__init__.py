"""MLflow's own plugin points: what a script logs through MLflow is logged to the run around it."""

"""Programs that make environments, one a kind; run by the supervisor as steps of a recipe."""

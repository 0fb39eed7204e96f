"""Training runs: recipes, losses, the loop, and runs that several processes share."""

"""How fast the service answers, and what its API process costs."""

"""Who changed what, and who was turned away."""

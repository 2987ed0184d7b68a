"""The presets."""

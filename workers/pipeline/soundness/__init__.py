"""That what was made of a model is still the model: asked on one batch, before anything is measured or delivered."""

"""Float models, as uploaded and inspected."""

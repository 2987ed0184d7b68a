"""Files and graphs, and no numbers: what every pass and every target reads of a model."""

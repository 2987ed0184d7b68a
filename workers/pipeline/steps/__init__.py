"""Results of steps that are kept: where they lie, and in what form."""

"""What models and data sets have in common: made from a file, inspected by a worker, then ready or rejected."""

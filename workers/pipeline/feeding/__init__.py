"""Rows of a data set as the batches a model takes."""

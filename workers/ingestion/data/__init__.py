"""Rows of samples, whatever file they come from."""

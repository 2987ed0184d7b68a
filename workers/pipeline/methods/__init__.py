"""The ways to make candidates: one file or folder for each."""

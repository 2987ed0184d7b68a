"""Garbage: what the store and the database hold and nothing refers to any more. How it is found, and when it may go."""

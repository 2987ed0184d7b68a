"""Measurements against other tools: each of them a fresh process, so that its memory is its own."""

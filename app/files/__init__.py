"""Uploaded bytes: received as a stream, recognised by their first bytes, kept under their digest."""

"""Resumable uploads: a file arrives in parts over any number of connections, and becomes one when it is verified."""

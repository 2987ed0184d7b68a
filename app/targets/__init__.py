"""The runtimes that models are built for: the queue of each, and the workers that are there."""

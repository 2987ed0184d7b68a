"""One file per serving runtime: what it can take, how to build for it, how to run and time it."""

"""Whether two checkouts of Lowbit make the same candidates to the last bit, on the same machine."""

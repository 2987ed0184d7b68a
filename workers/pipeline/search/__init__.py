"""Which candidate is best, and how to say so."""

"""How to wait for a change: one listening connection for all who do, and news that is told to a few at a time."""

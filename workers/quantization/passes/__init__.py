"""Graph passes, one a file. Each says what it requires and what it ensures, and returns the names it touched."""

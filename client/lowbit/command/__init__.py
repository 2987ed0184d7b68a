"""The command `lowbit`. Data goes to stdout, everything else to stderr; nothing here imports the service."""

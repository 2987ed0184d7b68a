"""What happens to jobs, told as it happens: one listening connection, shared reads, server-sent events, logs."""

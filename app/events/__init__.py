"""What happens to jobs, told as it happens: shared reads, server-sent events, logs."""

"""Float16: which constants and operators can have it, and which must not."""

"""Every candidate that a job tried, the float baseline included."""

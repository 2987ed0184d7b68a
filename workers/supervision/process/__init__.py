"""The process that does a job's work, and its bounds."""

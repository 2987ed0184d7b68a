"""What an operator does over HTTP: tenants, their keys and quotas, jobs that were given up, everybody's audit log."""

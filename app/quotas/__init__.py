"""How much a tenant may hold: bytes, queued and running jobs, open uploads."""

"""Keys over HTTP: who am I, make one, list them, rotate and revoke."""

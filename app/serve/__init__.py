"""`lowbit serve`: one supervised tree of a private Postgres, a private Valkey, the API and the workers."""

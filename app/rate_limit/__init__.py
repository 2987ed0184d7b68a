"""How many requests a key may send. The buckets lie in Redis; each process takes from them in small lots."""

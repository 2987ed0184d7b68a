"""`Idempotency-Key`: a creating request that is sent twice creates one thing and gets one answer."""

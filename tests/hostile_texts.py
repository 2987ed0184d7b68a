"""What people, and those who mean no good, type into fields: each is kept as it is, or refused."""

HOSTILE_TEXTS = [
    "mdl_\x00", "\ud800", "\u202e", "🙂" * 10_000, "'; DROP TABLE jobs; --", 'a"; filename*=x', "a\r\nSet-Cookie: b=c",
    "<script>alert(1)</script>", "{{7*7}}", "${7*7}", "%s%n%x", "../../etc/passwd", "%2e%2e%2f",
]  # fmt: skip

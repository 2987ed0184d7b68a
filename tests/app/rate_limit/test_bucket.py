from app.rate_limit.bucket import MAX_BUCKETS, LocalBuckets, TokenBucket


def test_a_bucket_holds_a_minutes_worth_and_fills_evenly() -> None:
    bucket = TokenBucket(60, now=0.0)
    assert bucket.take(100, now=0.0) == 60
    assert bucket.take(1, now=0.5) == 0  # half a token
    assert bucket.take(1, now=1.0) == 1  # 60 a minute are one a second
    assert bucket.take(100, now=11.0) == 10
    assert bucket.take(100, now=1_000.0) == 60  # it never holds more than it holds


def test_subjects_do_not_share_a_bucket() -> None:
    buckets = LocalBuckets(clock=lambda: 0.0)
    assert buckets.take("a", per_minute=2, wanted=2) == 2
    assert buckets.take("a", per_minute=2) == 0
    assert buckets.take("b", per_minute=2) == 1


def test_a_new_size_begins_anew() -> None:
    buckets = LocalBuckets(clock=lambda: 0.0)
    buckets.take("a", per_minute=2, wanted=2)
    assert buckets.remaining("a", per_minute=5) == 5


def test_ever_new_subjects_do_not_fill_the_memory() -> None:
    now = 0.0
    buckets = LocalBuckets(clock=lambda: now)
    buckets.take("used", per_minute=2)
    for number in range(2 * MAX_BUCKETS):
        buckets.remaining(f"only asked for {number}", per_minute=2)
    assert len(buckets._buckets) <= MAX_BUCKETS
    assert buckets.remaining("used", per_minute=2) == 1  # the full ones were forgotten, not this
    for number in range(2 * MAX_BUCKETS):
        buckets.take(f"used {number}", per_minute=2)
    assert len(buckets._buckets) <= MAX_BUCKETS

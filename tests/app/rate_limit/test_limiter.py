"""The limit holds across processes, costs few questions, and does not fall away with Redis."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from app.rate_limit.limiter import REDIS_PAUSE_SECONDS, RateLimiter, Verdict
from app.rate_limit.shared import Lot, SharedBuckets
from tests.e2e.conversation import is_problem
from tests.servers.api import Api, running_api
from tests.servers.postgres import Database

T = TypeVar("T")


class CountedBuckets:
    """Passes questions on, and counts them."""

    def __init__(self, shared: SharedBuckets) -> None:
        self.shared = shared
        self.questions = 0

    async def take(self, subject: str, *, per_minute: int, wanted: int) -> Lot:
        self.questions += 1
        return await self.shared.take(subject, per_minute=per_minute, wanted=wanted)


def asking(broker: str, work: Callable[[CountedBuckets], Awaitable[T]]) -> T:
    async def run() -> T:
        counted = CountedBuckets(SharedBuckets(broker))
        try:
            return await work(counted)
        finally:
            await counted.shared.close()

    return asyncio.run(run())


def test_two_processes_share_one_bucket(broker: str) -> None:
    async def work(buckets: CountedBuckets) -> int:
        limiters = [RateLimiter(buckets), RateLimiter(buckets)]
        verdicts = [await limiters[number % 2].spend("two", per_minute=120) for number in range(200)]
        return sum(verdict.passed for verdict in verdicts)

    assert 120 <= asking(broker, work) <= 124  # and what 2 tokens a second add while the loop runs, at most two seconds


def test_redis_is_asked_once_for_a_seconds_worth(broker: str) -> None:
    async def work(buckets: CountedBuckets) -> int:
        limiter = RateLimiter(buckets)
        for _ in range(1_000):
            assert (await limiter.spend("lots", per_minute=6_000)).passed
        return buckets.questions

    assert asking(broker, work) == 10  # 6,000 a minute are 100 a second; 1,000 requests are 10 lots


def test_many_at_once_are_one_question(broker: str) -> None:
    async def work(buckets: CountedBuckets) -> int:
        limiter = RateLimiter(buckets)
        await asyncio.gather(*(limiter.spend("burst", per_minute=6_000) for _ in range(100)))
        return buckets.questions

    assert asking(broker, work) == 1


def test_who_hammers_costs_no_questions(broker: str) -> None:
    async def work(buckets: CountedBuckets) -> int:
        limiter = RateLimiter(buckets, clock=lambda: 0.0)
        for _ in range(1_000):
            await limiter.spend("hammer", per_minute=3)
        return buckets.questions

    assert asking(broker, work) == 4  # three single tokens and one refusal


def test_the_limit_stays_when_redis_is_away() -> None:
    now = 0.0

    async def work(buckets: CountedBuckets) -> tuple[int, int]:
        nonlocal now
        limiter = RateLimiter(buckets, clock=lambda: now)
        passed = sum([(await limiter.spend("away", per_minute=5)).passed for _ in range(50)])
        questions = buckets.questions
        assert questions == 1  # the others did not pay for the attempt
        now = REDIS_PAUSE_SECONDS  # 5 a minute: not yet one more token
        await limiter.spend("other", per_minute=5)
        assert buckets.questions == 2
        return passed, questions

    assert asking("redis://127.0.0.1:1", work)[0] == 5  # port 1 is reserved and nothing listens there


def test_what_the_headers_say() -> None:
    verdict = Verdict(passed=True, limit=120, remaining=90)
    assert verdict.reset_seconds == 15  # 30 are missing, 2 come each second
    assert verdict.retry_after_seconds == 1
    assert Verdict(passed=False, limit=6, remaining=0).retry_after_seconds == 10


def test_requests_above_the_limit_are_refused_with_a_time(database: Database, broker: str, tmp_path: Path) -> None:
    with running_api(database, broker, tmp_path, rate_limit_per_minute=3) as limited, limited.client() as client:
        first = client.get("/v1/recipes")
        assert first.headers["RateLimit-Policy"] == '"requests";q=3;w=60'
        assert first.headers["RateLimit"].startswith('"requests";r=2;t=')
        assert [client.get("/v1/recipes").status_code for _ in range(2)] == [200, 200]
        refused = client.post("/v1/tokens", json={"name": "x", "scopes": ["*"]})
        is_problem(refused, 429, "rate_limited")
        assert refused.headers["Retry-After"] == "20"  # 60 s / 3
        assert refused.headers["RateLimit"] == '"requests";r=0;t=60'
        for path in ("/healthz", "/readyz", "/openapi.json"):
            assert client.get(path).status_code != 429


def test_the_keys_of_a_tenant_with_a_limit_share_it(api: Api) -> None:
    tenant_id, first = api.tenant("limited", max_requests_per_minute=4)
    second = api.key_of(tenant_id)
    with api.client(first) as one, api.client(second) as two:
        passed = [client.get("/v1/recipes").status_code for client in (one, two, one, two, one, two)]
    assert passed == [200, 200, 200, 200, 429, 429]

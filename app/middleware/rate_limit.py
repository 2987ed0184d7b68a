"""Counts requests behind the gate: a bucket for each key, or one for all keys of a tenant with a limit of its own.

Answers carry `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers): the quota and its window, and
what is left with the time until all of it is back.
"""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.auth.principal import Principal
from app.contracts.problem import problem
from app.problems import send_problem
from app.rate_limit.limiter import RateLimiter, Verdict


class RateLimit:
    def __init__(self, app: ASGIApp, *, limiter: RateLimiter, per_minute: int) -> None:
        self.app = app
        self.limiter = limiter
        self.per_minute = per_minute

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller: Principal | None = scope.get("state", {}).get("principal")
        limit = self.per_minute if caller is None else _limit(caller, self.per_minute)
        if caller is None or limit == 0:  # public addresses know no key
            await self.app(scope, receive, send)
            return
        subject = caller.key_id if caller.requests_per_minute is None else caller.tenant_id
        verdict = await self.limiter.spend(subject, per_minute=limit)
        headers = _headers(verdict)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *headers]
            await send(message)

        if verdict.passed:
            await self.app(scope, receive, send_with_headers)
            return
        found = problem("rate_limited", f"{limit} requests a minute are allowed.")
        retry = {"Retry-After": str(verdict.retry_after_seconds)}
        await send_problem(found, scope, receive, send_with_headers, headers=retry)


def _limit(caller: Principal, general: int) -> int:
    return general if caller.requests_per_minute is None else caller.requests_per_minute


def _headers(verdict: Verdict) -> list[tuple[bytes, bytes]]:
    policy = f'"requests";q={verdict.limit};w=60'
    state = f'"requests";r={verdict.remaining};t={verdict.reset_seconds}'
    return [(b"ratelimit-policy", policy.encode()), (b"ratelimit", state.encode())]

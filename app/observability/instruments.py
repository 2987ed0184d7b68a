"""What one API process counts by itself. Everything about jobs is read from the database instead."""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)

disable_created_metrics()  # type: ignore[no-untyped-call]  # a twin of each series, which nothing of ours reads

REQUEST_BUCKETS_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)
"""The last one is the longest that a request can ask to be held for (`Prefer: wait`)."""

KNOWN_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
NO_ROUTE = "none"
"""The route of a request that reached none: refused before, or for an address that does not exist."""


class Instruments:
    """One set for an application. Labels take few values: routes are templates, never paths, and no tenant appears."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = Counter(
            "lowbit_http_requests_total",
            "Requests answered by this process.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self._durations = Histogram(
            "lowbit_http_request_duration_seconds",
            "Time from a request's arrival to the end of its answer; event streams are not counted.",
            ["method", "route"],
            buckets=REQUEST_BUCKETS_SECONDS,
            registry=self.registry,
        )
        self.event_streams = Gauge(
            "lowbit_event_streams_open", "Event streams that this process serves now.", registry=self.registry
        )
        self.webhook_attempts = Counter(
            "lowbit_webhook_attempts_total",
            "Webhook requests sent by this process, by outcome: delivered, retried, given_up, or lost to a deletion.",
            ["outcome"],
            registry=self.registry,
        )

    def count_request(self, *, method: str, route: str, status: int, seconds: float | None) -> None:
        """`seconds` is None for an answer whose length says nothing about us: an event stream."""
        method = method if method in KNOWN_METHODS else "other"
        self._requests.labels(method, route, str(status)).inc()
        if seconds is not None:
            self._durations.labels(method, route).observe(seconds)

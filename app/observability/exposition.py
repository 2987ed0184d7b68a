"""The page that Prometheus reads: this process's own counts, and what the database shows."""

from collections.abc import Iterable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy.ext.asyncio import AsyncEngine

from app.observability.database_state import DatabaseState


class MetricsPage(Collector):
    """One scrape. `state` is None while the database cannot be read: the rest of the page is still true."""

    def __init__(self, registry: CollectorRegistry, engine: AsyncEngine, state: DatabaseState | None) -> None:
        self._registry = registry
        self._engine = engine
        self._state = state

    def collect(self) -> Iterator[Metric]:
        yield from self._registry.collect()
        yield from _pool(self._engine)
        yield _gauge("lowbit_database_up", "1 if this scrape could read the database.", [((), int(bool(self._state)))])
        if self._state is not None:
            yield from _jobs(self._state)
            yield from _surroundings(self._state)


def _jobs(state: DatabaseState) -> Iterator[Metric]:
    yield _gauge(
        "lowbit_jobs",
        "Jobs by kind and status, at most a minute old.",
        [((k, s), n) for k, s, n in state.census.jobs],
        "kind",
        "status",
    )
    yield _gauge(
        "lowbit_jobs_queued", "Jobs that wait.", [((w.queue, w.kind), w.jobs) for w in state.waiting], "queue", "kind"
    )
    yield _gauge(
        "lowbit_jobs_oldest_wait_seconds",
        "Time for which the longest waiting job could have been running.",
        [((w.queue, w.kind), w.oldest_seconds) for w in state.waiting],
        "queue",
        "kind",
    )
    yield _gauge(
        "lowbit_jobs_running",
        "Jobs that a worker holds.",
        [((h.queue, h.kind), h.jobs) for h in state.held],
        "queue",
        "kind",
    )


def _surroundings(state: DatabaseState) -> Iterator[Metric]:
    yield _gauge("lowbit_workers", "Live workers.", [((w.queue,), w.workers) for w in state.workers], "queue")
    yield _gauge(
        "lowbit_worker_slots",
        "Jobs that the live workers can run at once; one that serves several queues counts for each.",
        [((w.queue,), w.slots) for w in state.workers],
        "queue",
    )
    yield _gauge(
        "lowbit_stored_bytes",
        "Content that files, artifacts and steps refer to, at most a minute old; what two share counts for each.",
        [((what,), size) for what, size in state.census.stored_bytes.items()],
        "what",
    )
    yield _gauge("lowbit_uploads_open", "Resumable uploads under way.", [((), state.open_uploads.uploads)])
    yield _gauge("lowbit_uploads_open_bytes", "Their sizes when complete.", [((), state.open_uploads.bytes)])
    yield _gauge("lowbit_webhook_deliveries_waiting", "Webhooks still to be sent.", [((), state.deliveries_waiting)])


def _pool(engine: AsyncEngine) -> Iterator[Metric]:
    pool: Any = engine.pool  # only the queueing kind, which is ours, counts its connections
    yield _gauge(
        "lowbit_database_pool_connections",
        "Database connections of this process.",
        [(("in_use",), pool.checkedout()), (("idle",), pool.checkedin())],
        "state",
    )


def _gauge(name: str, text: str, samples: Iterable[tuple[tuple[str, ...], float]], *labels: str) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for values, value in samples:
        family.add_metric(values, float(value))
    return family

"""The page, read with Prometheus' own parser, against rows whose counts are known."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy.orm import Session, sessionmaker

from app.contracts.status import JobStatus
from app.targets import roster
from app.targets.roster import Presence
from tests.app.jobs.conftest import MakeJob
from tests.app.observability.application import converse
from tests.servers.postgres import Database

ROOT = Path(__file__).parents[3]
DASHBOARD = ROOT / "docker" / "grafana" / "lowbit.json"
GUIDE = ROOT / "docs" / "observability.md"

Labels = tuple[tuple[str, str], ...]


class Page(dict[tuple[str, Labels], float]):
    """Samples by name and labels."""

    @classmethod
    def of(cls, body: str) -> "Page":
        families = text_string_to_metric_families(body)
        return cls({(s.name, tuple(sorted(s.labels.items()))): s.value for f in families for s in f.samples})

    def value(self, name: str, **labels: str) -> float:
        return self.get((name, tuple(sorted(labels.items()))), 0.0)

    def names(self) -> set[str]:
        return {name for name, _ in self}


async def _scrape(client: httpx2.AsyncClient) -> Page:
    response = await client.get("/metrics")
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/plain")
    return Page.of(response.text)


@pytest.fixture(autouse=True)
def _nothing_else(database: Database) -> None:
    database.empty()


@pytest.fixture
def worker(sessions: sessionmaker[Session]) -> Iterator[Presence]:
    presence = Presence("wrk_test", "host", 1, ["cpu", "inspect"], 2, "0")
    with sessions.begin() as session:
        session.execute(roster.present(presence))
    yield presence
    with sessions.begin() as session:
        session.execute(roster.gone(presence.id))


def test_what_waits_and_runs_is_counted_by_queue_and_kind(
    database: Database,
    make_job: MakeJob,
    worker: Presence,
) -> None:
    now = datetime.now(UTC)
    make_job(run_after=now - timedelta(seconds=100))
    make_job(run_after=now - timedelta(seconds=5))
    make_job(run_after=now + timedelta(seconds=500), kind="inspect_model", queue="inspect")  # a pause after a crash
    make_job(JobStatus.RUNNING)
    make_job(JobStatus.CANCELLING)
    page = converse(database, lambda _, client: _scrape(client))
    assert page.value("lowbit_database_up") == 1
    assert page.value("lowbit_jobs_queued", queue="cpu", kind="quantize") == 2
    assert page.value("lowbit_jobs_queued", queue="inspect", kind="inspect_model") == 1
    assert 99 < page.value("lowbit_jobs_oldest_wait_seconds", queue="cpu", kind="quantize") < 160
    assert page.value("lowbit_jobs_oldest_wait_seconds", queue="inspect", kind="inspect_model") == 0
    assert page.value("lowbit_jobs_running", queue="cpu", kind="quantize") == 2
    assert page.value("lowbit_jobs", kind="quantize", status="queued") == 2
    assert page.value("lowbit_workers", queue=worker.queues[0]) == 1
    assert page.value("lowbit_worker_slots", queue=worker.queues[1]) == worker.slots


def test_each_end_is_counted_once_and_only_if_it_came_after_the_first_look(
    database: Database,
    make_job: MakeJob,
) -> None:
    def ended(**fields: object) -> None:
        now = datetime.now(UTC)
        stages = [
            {"name": "calibrate", "status": "succeeded", "duration_s": 3.0},
            {"name": "evaluate", "status": "pending", "duration_s": None},
        ]
        values = {"created_at": now - timedelta(seconds=30), "started_at": now - timedelta(seconds=20), "attempt": 2}
        make_job(JobStatus.SUCCEEDED, **{**values, "finished_at": now, "stages": stages, **fields})

    async def conversation(_: FastAPI, client: httpx2.AsyncClient) -> list[Page]:
        ended()
        pages = [await _scrape(client)]
        ended(losses=1, crashes=2)
        # committed late: its statement ran before the look that came before its commit
        ended(finished_at=datetime.now(UTC) - timedelta(seconds=40))
        pages.append(await _scrape(client))
        pages.append(await _scrape(client))
        return pages

    before, after, again = converse(database, conversation)
    assert before.value("lowbit_jobs_finished_total", kind="quantize", status="succeeded") == 0
    for page in (after, again):
        assert page.value("lowbit_jobs_finished_total", kind="quantize", status="succeeded") == 2
        assert page.value("lowbit_job_attempts_total", kind="quantize") == 4
        assert page.value("lowbit_job_mishaps_total", kind="quantize", mishap="lease_loss") == 1
        assert page.value("lowbit_job_mishaps_total", kind="quantize", mishap="crash") == 2
        stage = {"kind": "quantize", "stage": "calibrate"}
        assert page.value("lowbit_job_stage_duration_seconds_sum", **stage) == 6.0
        assert page.value("lowbit_job_stage_duration_seconds_bucket", **stage, le="1.0") == 0
        assert page.value("lowbit_job_stage_duration_seconds_bucket", **stage, le="5.0") == 2
        assert page.value("lowbit_job_stage_duration_seconds_count", kind="quantize", stage="evaluate") == 0
        assert page.value("lowbit_job_wait_seconds_sum", kind="quantize") == 20.0


def test_routes_are_templates_and_unknown_addresses_share_one_label(database: Database) -> None:
    async def conversation(_: FastAPI, client: httpx2.AsyncClient) -> Page:
        for path in ("/v1/jobs/job_a", "/v1/jobs/job_b", "/v1/nothing", "/wp-login.php"):
            await client.get(path)
        return await _scrape(client)

    page = converse(database, conversation)
    routes = {dict(labels)["route"] for name, labels in page if name == "lowbit_http_requests_total"}
    assert routes == {"/v1/jobs/{job_id}", "none"}
    assert page.value("lowbit_http_requests_total", method="GET", route="/v1/jobs/{job_id}", status="404") == 2
    assert page.value("lowbit_http_request_duration_seconds_count", method="GET", route="/v1/jobs/{job_id}") == 2
    assert not any("tenant" in dict(labels) for _, labels in page)


def test_event_streams_are_counted_while_they_are_open(database: Database) -> None:
    async def conversation(app: FastAPI, client: httpx2.AsyncClient) -> list[Page]:
        seen = []

        @app.get("/v1/events/test")
        async def stream() -> StreamingResponse:
            async def events() -> object:
                yield b"data: 1\n\n"
                seen.append(await _scrape(client))

            return StreamingResponse(events(), media_type="text/event-stream")

        await client.get("/v1/events/test")
        return [*seen, await _scrape(client)]

    during, after = converse(database, conversation)
    assert during.value("lowbit_event_streams_open") == 1
    assert after.value("lowbit_event_streams_open") == 0


def test_without_a_database_the_page_says_so_and_is_still_there(database: Database) -> None:
    nowhere = {"database_url": "postgresql://nobody@127.0.0.1:9/nothing", "metrics_public": True}
    page = converse(database, lambda _, client: _scrape(client), **nowhere)
    assert page.value("lowbit_database_up") == 0
    assert "lowbit_jobs_queued" not in page.names()
    assert "process_resident_memory_bytes" in page.names()


def test_metrics_want_a_key_unless_they_are_opened(database: Database) -> None:
    async def stranger(app: FastAPI, _: httpx2.AsyncClient) -> int:
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://localhost") as client:
            return (await client.get("/metrics")).status_code

    assert converse(database, stranger) == 401
    assert converse(database, stranger, metrics_public=True) == 200


def test_the_dashboard_the_guide_and_the_page_name_the_same_metrics(database: Database) -> None:
    """Their families at least: a counter that has counted nothing yet has no sample."""

    async def families(_: FastAPI, client: httpx2.AsyncClient) -> set[str]:
        return set(re.findall(r"^# TYPE (\w+) ", (await client.get("/metrics")).text, re.MULTILINE))

    exported = converse(database, families)
    dashboard = json.loads(DASHBOARD.read_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    shown = {name for expression in expressions for name in re.findall(r"\b(?:lowbit|process)_\w+", expression)}
    assert len(shown) > 15
    assert {re.sub(r"_(bucket|sum|count)$", "", name) for name in shown} <= exported
    rows = [line for line in GUIDE.read_text().splitlines() if line.startswith("| `lowbit_")]
    explained = {name for row in rows for name in re.findall(r"`(lowbit_\w+)`", row.split("|")[1])}
    assert explained == {name for name in exported if name.startswith("lowbit_")}

"""Events and logs as pages, and answers that wait for a change."""

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from app.events.accepted import preferred
from app.events.cursor import Cursor
from app.jobs import events
from tests.app.events.conftest import Api, Tenancy, Work


def _logged(tenant: Tenancy) -> Work:
    work = Work(tenant.sessions, tenant.job())
    work.claim()
    lines = [
        events.log_line("info", "first\nsecond", stage="fetch"),
        events.log_line("warning", "odd", stage="calibrate"),
        events.log_line("error", "bad", stage="calibrate"),
    ]
    work.run(events.append(work.lease, lines))
    return work


def test_pages_of_a_job_follow_one_another(api: Api, tenant: Tenancy) -> None:
    job_id = _logged(tenant).job.id
    with api.client(tenant.key) as client:
        first = client.get(f"/v1/jobs/{job_id}/events?limit=3").json()
        rest = client.get(f"/v1/jobs/{job_id}/events", params={"after": first["last_id"]}).json()
    assert [(e["id"], e["seq"], e["type"]) for e in first["data"]] == [
        ("1", 1, "status"),
        ("2", 2, "status"),
        ("3", 3, "log"),
    ]
    assert (first["has_more"], [e["id"] for e in rest["data"]], rest["has_more"]) == (True, ["4", "5"], False)


def test_pages_of_all_jobs_follow_one_another(api: Api, tenant: Tenancy) -> None:
    jobs = [_logged(tenant).job.id for _ in range(2)]
    seen, after = [], {}
    with api.client(tenant.key) as client:
        while True:
            page = client.get("/v1/events", params={"limit": 4, **after}).json()
            seen += [(e["job_id"], e["seq"]) for e in page["data"]]
            after = {"after": page["last_id"]}
            if not page["has_more"]:
                break
        assert client.get("/v1/events?after=nonsense").json()["code"] == "invalid_cursor"
    assert seen == [(job_id, seq) for job_id in jobs for seq in range(1, 6)]


def test_a_log_is_text_or_objects_and_can_be_narrowed(api: Api, tenant: Tenancy) -> None:
    work = _logged(tenant)
    path = f"/v1/jobs/{work.job.id}/logs"
    with api.client(tenant.key) as client:
        plain = client.get(path)
        assert plain.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert [line[25:] for line in plain.text.splitlines()] == [
            "info    fetch     first",
            "",  # "    second" is shorter than a time
            "warning calibrate odd",
            "error   calibrate bad",
        ]
        ndjson = client.get(path, headers={"Accept": "application/x-ndjson"})
        assert ndjson.headers["Content-Type"] == "application/x-ndjson"
        assert [json.loads(line)["seq"] for line in ndjson.text.splitlines()] == [3, 4, 5]
        for query, expected in (("level=error", 1), ("level=warning", 2), ("stage=fetch", 2), ("after=4", 1)):
            assert len(client.get(f"{path}?{query}").text.splitlines()) == expected


@pytest.mark.pace
def test_a_wait_ends_with_the_change_it_waits_for(api: Api, tenant: Tenancy) -> None:
    work = Work(tenant.sessions, tenant.job())
    with api.client(tenant.key) as client, ThreadPoolExecutor(1) as pool:
        path = f"/v1/jobs/{work.job.id}"
        etag = client.get(path).headers["ETag"]
        held = pool.submit(client.get, path, headers={"Prefer": "wait=20", "If-None-Match": etag})
        time.sleep(0.5)
        work.claim()
        changed_at = time.monotonic()
        assert held.result().json()["status"] == "running"
        assert time.monotonic() - changed_at < 2  # a look every five seconds would mostly come later


@pytest.mark.pace
def test_a_wait_for_a_model_ends_with_its_inspection(api: Api, make_tenant: Callable[[], Tenancy]) -> None:
    tenant = make_tenant()
    inspection = tenant.job(kind="inspect_model", calibration_dataset_id=None)
    with tenant.sessions.begin() as session:
        session.execute(text("UPDATE models SET status = 'inspecting' WHERE id = :id"), {"id": tenant.model_id})
    with api.client(tenant.key) as client, ThreadPoolExecutor(1) as pool:
        held = pool.submit(client.get, f"/v1/models/{tenant.model_id}", headers={"Prefer": "wait=20"})
        time.sleep(0.5)
        with tenant.sessions.begin() as session:
            session.execute(text("UPDATE models SET status = 'rejected' WHERE id = :id"), {"id": tenant.model_id})
            session.execute(text("UPDATE jobs SET version = version + 1 WHERE id = :id"), {"id": inspection.id})
        changed_at = time.monotonic()
        assert held.result().json()["status"] == "rejected"
        assert time.monotonic() - changed_at < 2


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, "a/json"),
        ("*/*", "a/json"),
        ("text/event-stream", "text/event-stream"),
        ("text/*", "text/event-stream"),
        ("a/json;q=0.5, text/event-stream", "text/event-stream"),
        ("text/event-stream;q=0.1, */*;q=0.2", "a/json"),
        ("image/png", "a/json"),
        (";;q=x,,", "a/json"),
    ],
)
def test_the_form_is_the_one_preferred(accept: str | None, expected: str) -> None:
    assert preferred(accept, ("a/json", "text/event-stream")) == expected


@pytest.mark.parametrize("given", ["", "1", "1-job_x-2", "-1--0", f"{2**64}--0", "1--0 "])
def test_a_cursor_that_is_none_is_refused(given: str) -> None:
    assert Cursor.parse(given) is None


def test_a_cursor_reads_what_it_writes() -> None:
    for cursor in (Cursor.before(7), Cursor(2**64 - 1, "job_" + "0" * 32, 12)):
        assert Cursor.parse(str(cursor)) == cursor

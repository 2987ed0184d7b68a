"""Streams of events over real HTTP, while jobs change in the database."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import select, text

from app.changes.hub import APPLICATION_NAME
from app.contracts.status import TRANSITIONS, JobStatus
from app.jobs import events, lease
from app.tables import Job, JobEvent
from tests.app.events.conftest import Api, Sessions, Stream, Tenancy, Work, running_api
from tests.servers.postgres import Database


def _stream(api: Api, tenant: Tenancy, job_id: str, last_event_id: str | None = None) -> Stream:
    return Stream(api, tenant.key, f"/v1/jobs/{job_id}/events", last_event_id)


def _whole_life(tenant: Tenancy) -> Work:
    """Nine events: queued, running, two stages, a warning, a log line, the variant that is none, succeeded, done."""
    work = Work(tenant.sessions, tenant.job())
    work.claim()
    work.report("fetch")
    work.report("calibrate", 10)
    work.report("calibrate", 20, warnings=("strange",))
    work.run(events.append(work.lease, [events.log_line("info", "hello", stage="calibrate")]))
    work.run(events.append(work.lease, [events.NewEvent("variant", {"variant_id": "var_1"})]))
    work.succeed()
    return work


LIFE = ["status", "status", "stage", "stage", "warning", "log", "variant", "status", "done"]


def test_a_job_is_told_from_its_snapshot_to_its_end(api: Api, tenant: Tenancy) -> None:
    work = Work(tenant.sessions, tenant.job())
    stream = _stream(api, tenant, work.job.id)
    first = stream.until(lambda seen: len(seen) == 1)[0]
    assert (first.event, first.id, first.data["status"]) == ("snapshot", "1", "queued")
    work.claim()
    work.report("calibrate", 10)
    stream.until(lambda seen: seen[-1].event == "progress")
    work.succeed()
    stream.until_ended()
    assert [told.id for told in stream.stored()] == ["2", "3", "4", "5"]
    assert [told.event for told in stream.events] == ["snapshot", "status", "stage", "progress", "status", "done"]
    done = stream.events[-1].data
    assert (done["id"], done["status"], done["done"]) == (work.job.id, "succeeded", True)


def test_replay_is_exact_from_every_event(api: Api, tenant: Tenancy) -> None:
    job_id = _whole_life(tenant).job.id
    whole = _stream(api, tenant, job_id, "0")
    whole.until_ended()
    assert [told.event for told in whole.stored()] == LIFE
    assert [told.id for told in whole.stored()] == [str(n) for n in range(1, 10)]
    for seen in range(1, 9):
        stream = _stream(api, tenant, job_id, str(seen))
        stream.until_ended()
        assert [(e.event, e.data, e.id) for e in stream.events] == [
            (e.event, e.data, e.id) for e in whole.stored()[seen:]
        ]


def test_coming_back_after_the_end_gets_204(api: Api, tenant: Tenancy) -> None:
    job_id = _whole_life(tenant).job.id
    with api.client(tenant.key) as client:
        headers = {"Accept": "text/event-stream", "Last-Event-ID": "9"}
        assert client.get(f"/v1/jobs/{job_id}/events", headers=headers).status_code == 204
    fresh = _stream(api, tenant, job_id)
    fresh.until_ended()
    assert [told.event for told in fresh.events] == ["snapshot", "done"]


def test_a_done_that_a_requeue_has_undone_is_not_told(api: Api, tenant: Tenancy) -> None:
    work = Work(tenant.sessions, tenant.job())
    work.claim()
    work.run(lease.fail(work.lease, error={}, stages=[]))
    with tenant.sessions.begin() as session:
        session.execute(
            text("UPDATE jobs SET status = 'queued', finished_at = NULL WHERE id = :id"), {"id": work.job.id}
        )
    stream = _stream(api, tenant, work.job.id, "1")
    # 2 running, 3 failed, 4 done, 5 queued
    stream.until(lambda seen: seen[-1:] != [] and seen[-1].id == "5")
    assert [told.id for told in stream.events] == ["2", "3", "5"]


def test_another_tenants_job_is_as_missing_as_none(api: Api, make_tenant: Callable[[], Tenancy]) -> None:
    mine, theirs = make_tenant(), make_tenant()
    job_id = _whole_life(theirs).job.id
    own = Stream(api, mine.key, "/v1/events")
    own.until(lambda seen: len(seen) == 1)
    with api.client(mine.key) as client:
        for path in ("events", "logs"):
            for accept in ("text/event-stream", "application/json"):
                answers = [
                    client.get(f"/v1/jobs/{name}/{path}", headers={"Accept": accept, "X-Request-Id": "same"})
                    for name in (job_id, "job_" + "0" * 32)
                ]
                assert [a.status_code for a in answers] == [404, 404]
                assert answers[0].text.replace(job_id, "") == answers[1].text.replace("job_" + "0" * 32, "")
        assert client.get("/v1/events?limit=200").json()["data"] == []
    Work(theirs.sessions, theirs.job()).claim()
    job = _whole_life(mine).job
    own.until(lambda seen: seen[-1].event == "done")
    assert {told.data["job_id"] for told in own.events[1:]} == {job.id}


def test_progress_is_told_at_most_four_times_a_second_and_ends_with_the_newest(api: Api, tenant: Tenancy) -> None:
    work = Work(tenant.sessions, tenant.job())
    work.claim()
    work.report("calibrate", 0)
    stream = _stream(api, tenant, work.job.id)
    stream.until(lambda seen: len(seen) >= 1)
    started = time.monotonic()
    for n in range(1, 201):
        work.report("calibrate", n)
    took = time.monotonic() - started
    told = stream.until(lambda seen: seen[-1].event == "progress" and seen[-1].data["completed"] == 200)
    progress = [e for e in told if e.event == "progress"]
    assert len(progress) <= took * 4 + 3
    assert all(e.id is None for e in progress)
    completed = [e.data["completed"] for e in progress]
    assert completed == sorted(completed)


@pytest.mark.pace
def test_events_are_not_held_up_by_the_pace_of_progress(api: Api, tenant: Tenancy) -> None:
    work = Work(tenant.sessions, tenant.job())
    work.claim()
    stream = _stream(api, tenant, work.job.id)
    stream.until(lambda seen: len(seen) >= 1)
    work.report("calibrate", 1)
    work.report("calibrate", 2)
    asked_at = time.monotonic()
    work.report("quantize")
    told = stream.until(lambda seen: seen[-1].data.get("stage") == "quantize")[-1]
    assert told.at - asked_at < 0.25  # the pace is one in that time, on a busy machine too


def test_a_killed_listening_connection_costs_no_event(api: Api, tenant: Tenancy) -> None:
    work = Work(tenant.sessions, tenant.job())
    work.claim()
    streams = [_stream(api, tenant, work.job.id), Stream(api, tenant.key, "/v1/events")]
    for stream in streams:
        stream.until(lambda seen: len(seen) >= 1)
    for stage in ("fetch", "inspect", "baseline", "calibrate"):
        _kill_listener(tenant.sessions)
        work.report(stage)
        for stream in streams:
            stream.until(lambda seen: seen[-1].data.get("stage") == stage)  # noqa: B023  called within the round
    work.succeed()
    streams[0].until_ended()
    assert [told.id for told in streams[0].stored()] == [str(n) for n in range(3, 9)]


def _kill_listener(sessions: Sessions) -> None:
    kill = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = :name")
    deadline = time.monotonic() + 60.0
    while time.monotonic() < deadline:  # the one killed last may not be back yet
        with sessions.begin() as session:
            if session.execute(kill, {"name": APPLICATION_NAME}).all():
                return
    raise AssertionError("nobody listens")


def test_no_event_of_any_job_is_missed_by_a_stream_that_is_cut_again_and_again(api: Api, tenant: Tenancy) -> None:
    first = Stream(api, tenant.key, "/v1/events")
    cursor = first.until(lambda seen: len(seen) == 1)[0].id
    with ThreadPoolExecutor(6) as pool:
        lives = [pool.submit(_whole_life, tenant) for _ in range(12)]
        told: list[tuple[str, int]] = []
        while len(told) < 12 * 9:
            stream = Stream(api, tenant.key, "/v1/events", cursor)
            seen = stream.until(lambda seen: len(seen) > 0)
            kept = [e for e in seen if e.id is not None]
            told += [(e.data["job_id"], e.data["seq"]) for e in kept]
            cursor = kept[-1].id if kept else cursor
    assert sorted(told) == sorted((life.result().job.id, seq) for life in lives for seq in range(1, 10))


def test_a_transaction_that_ends_late_is_waited_for(api: Api, tenant: Tenancy, sessions: Sessions) -> None:
    """It has the smaller id: a reader that went past it would never see what it wrote."""
    early, late = tenant.job(), tenant.job()
    stream = Stream(api, tenant.key, "/v1/events")
    stream.until(lambda seen: len(seen) == 1)
    cancel = "UPDATE jobs SET status = 'cancelled' WHERE id = :id"
    with sessions.begin() as slow:
        slow.execute(text(cancel), {"id": late.id})
        with sessions.begin() as quick:
            quick.execute(text(cancel), {"id": early.id})
        time.sleep(0.3)
        assert len(stream.events) == 1
    told = stream.until(lambda seen: len(seen) == 5)
    assert [(e.data["job_id"], e.event) for e in told[1:]] == [
        (late.id, "status"),
        (late.id, "done"),
        (early.id, "status"),
        (early.id, "done"),
    ]


@pytest.mark.pace
def test_streams_end_at_once_when_the_process_is_told_to_stop(
    database: Database, tenant: Tenancy, tmp_path: Path
) -> None:
    job = tenant.job()
    with running_api(database, tmp_path) as api:
        streams = [_stream(api, tenant, job.id), Stream(api, tenant.key, "/v1/events")]
        for stream in streams:
            stream.until(lambda seen: len(seen) == 1)
        asking = threading.Event()
        with ThreadPoolExecutor(1) as pool:
            held = pool.submit(_wait_for_change, api, tenant, job.id, asking)
            assert asking.wait(10)
            time.sleep(0.5)
            told_at = time.monotonic()
            api.process.terminate()
            for stream in streams:
                stream.until_ended()
            assert held.result() == 200
            # well under the eight seconds after which the server would cut them off
            assert time.monotonic() - told_at < 3.0


def _wait_for_change(api: Api, tenant: Tenancy, job_id: str, asking: threading.Event) -> int:
    with api.client(tenant.key) as client:
        client.get("/healthz")  # so that the connection is there
        asking.set()
        return client.get(f"/v1/jobs/{job_id}", headers={"Prefer": "wait=30"}).status_code


def test_a_key_may_have_only_so_many_streams(database: Database, tenant: Tenancy, tmp_path: Path) -> None:
    job = tenant.job()
    with running_api(database, tmp_path, LOWBIT_MAX_STREAMS_PER_KEY="2") as api:
        streams = [_stream(api, tenant, job.id) for _ in range(2)]
        for stream in streams:
            stream.until(lambda seen: len(seen) == 1)
        with api.client(tenant.key) as client:
            refused = client.get("/v1/events", headers={"Accept": "text/event-stream"})
            assert (refused.status_code, refused.json()["code"]) == (429, "concurrency_limit")
        tenant.sessions.kw["bind"].dispose()
        Work(tenant.sessions, job).run(lease.request_cancel(job.id, tenant_id=tenant.tenant_id))
        for stream in streams:
            stream.until_ended()
        again = _stream(api, tenant, tenant.job().id)
        again.until(lambda seen: len(seen) == 1)


def test_events_are_numbered_without_gaps_and_every_change_is_an_allowed_one(sessions: Sessions) -> None:
    """Over all that the other tests of this folder have left behind."""
    with sessions() as session:
        rows = session.execute(
            select(JobEvent.job_id, JobEvent.seq, JobEvent.type, JobEvent.data)
            .join(Job, Job.id == JobEvent.job_id)
            .where(Job.queue == "events")
            .order_by(JobEvent.job_id, JobEvent.seq)
        ).all()
    by_job: dict[str, list[tuple[int, str, dict[str, object]]]] = {}
    for job_id, seq, kind, data in rows:
        by_job.setdefault(job_id, []).append((seq, kind, data))
    for told in by_job.values():
        assert [seq for seq, _, _ in told] == list(range(1, len(told) + 1))
        statuses = [JobStatus(str(data["status"])) for _, kind, data in told if kind == "status"]
        requeued = {(JobStatus.FAILED, JobStatus.QUEUED)}
        at_once = {(JobStatus.QUEUED, JobStatus.CANCELLED)}
        for before, after in pairwise(statuses):
            assert after in TRANSITIONS[before] or (before, after) in requeued | at_once

"""The truth of `/readyz`, on a real database; broker and store are away in these tests."""

from collections.abc import Sequence

import httpx2
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from app.targets import roster
from app.targets.roster import SERVED_QUEUES, Presence
from tests.app.observability.application import converse
from tests.servers.postgres import Database

WORKER = Presence("wrk_test", "host", 1, ["cpu"], 1, "0")


def _live(sessions: sessionmaker[Session], seen_seconds_ago: Sequence[float]) -> dict[str, tuple[int, int]]:
    """The live workers by queue, when workers of two slots were last seen so long ago."""
    with sessions() as session:  # rolled back at its end
        for number, age in enumerate(seen_seconds_ago):
            session.execute(roster.present(WORKER._replace(id=f"wrk_{number}", queues=["cpu", "inspect"], slots=2)))
            ago = text("UPDATE workers SET seen_at = clock_timestamp() - make_interval(secs => :age) WHERE id = :id")
            session.execute(ago, {"age": age, "id": f"wrk_{number}"})
        session.execute(roster.forgotten())
        assert session.scalar(text("SELECT count(*) FROM workers")) == sum(age < 24 * 3600 for age in seen_seconds_ago)
        return {queue: (workers, slots) for queue, workers, slots in session.execute(roster.live_by_queue())}


def test_a_worker_is_live_for_half_a_minute_after_it_was_seen(sessions: sessionmaker[Session]) -> None:
    assert _live(sessions, [0, 29, 31, 23 * 3600]) == {"cpu": (2, 4), "inspect": (2, 4)}


def test_a_worker_of_yesterday_is_forgotten(sessions: sessionmaker[Session]) -> None:
    assert _live(sessions, [25 * 3600]) == {}


def test_a_worker_that_is_seen_again_is_live_again(sessions: sessionmaker[Session]) -> None:
    with sessions() as session:
        session.execute(roster.present(WORKER))
        session.execute(text("UPDATE workers SET seen_at = seen_at - interval '1 hour'"))
        assert session.execute(roster.live_by_queue()).all() == []
        session.execute(roster.present(WORKER))
        assert [row[:2] for row in session.execute(roster.live_by_queue())] == [("cpu", 1)]


def test_every_part_is_reported_and_those_that_requests_need_decide(
    database: Database, sessions: sessionmaker[Session], tmp_path: object
) -> None:
    async def ask(_: FastAPI, client: httpx2.AsyncClient) -> tuple[int, dict[str, object]]:
        response = await client.get("/readyz")
        return response.status_code, response.json()

    status, body = converse(database, ask, storage_url=f"file://{tmp_path}")
    expected = {"status": "not_ready", "database": True, "broker": False, "storage": True, "workers": False}
    assert (status, body) == (503, expected)
    with sessions.begin() as session:
        session.execute(roster.present(WORKER._replace(queues=sorted(SERVED_QUEUES))))
    try:
        assert converse(database, ask, storage_url=f"file://{tmp_path}") == (503, {**expected, "workers": True})
    finally:
        with sessions.begin() as session:
            session.execute(roster.gone(WORKER.id))

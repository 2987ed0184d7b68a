"""Answers about a job are kept while it does not change, and never given after a change its reader could know of."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import text

from app.changes.hub import Hub
from app.jobs.shown import Shown, ShownJobs
from app.tables import Job
from tests.app.events.conftest import Api, Tenancy

PATIENCE_SECONDS = 5.0


@pytest.mark.pace
def test_a_change_by_a_worker_shows_at_once(api: Api, tenant: Tenancy) -> None:
    job = tenant.job()
    with api.client(tenant.key) as client:
        for completed in range(1, 30):
            client.get(f"/v1/jobs/{job.id}")  # kept from here on
            _progress(tenant, job.id, completed)
            deadline = time.monotonic() + PATIENCE_SECONDS
            while (found := client.get(f"/v1/jobs/{job.id}").json()["progress"]["completed"]) != completed:
                assert found == completed - 1
                assert time.monotonic() < deadline


def test_who_cancels_sees_it_cancelled_with_the_next_request(api: Api, tenant: Tenancy) -> None:
    with api.client(tenant.key) as client:
        for _ in range(30):
            job = tenant.job()
            assert client.get(f"/v1/jobs/{job.id}").json()["status"] == "queued"
            assert client.post(f"/v1/jobs/{job.id}/cancel").json()["status"] == "cancelled"
            assert client.get(f"/v1/jobs/{job.id}").json()["status"] == "cancelled"


def test_a_kept_answer_is_not_given_to_another_tenant(
    api: Api, tenant: Tenancy, make_tenant: Callable[[], Tenancy]
) -> None:
    job = tenant.job()
    with api.client(tenant.key) as owner, api.client(make_tenant().key) as stranger:
        assert owner.get(f"/v1/jobs/{job.id}").status_code == 200
        assert stranger.get(f"/v1/jobs/{job.id}").json()["code"] == "not_found"


@pytest.mark.pace
def test_an_answer_is_not_kept_beyond_a_second_when_nobody_tells(api: Api, tenant: Tenancy) -> None:
    """A change whose notification is lost: here, one that sends none, since it leaves the version alone."""
    job = tenant.job()
    with api.client(tenant.key) as client:
        client.get(f"/v1/jobs/{job.id}")
        with tenant.sessions.begin() as session:
            session.execute(text("UPDATE jobs SET name = 'renamed' WHERE id = :id"), {"id": job.id})
        deadline = time.monotonic() + PATIENCE_SECONDS
        while client.get(f"/v1/jobs/{job.id}").json()["name"] != "renamed":
            assert time.monotonic() < deadline


class _Readings:
    """Counts how often the database would be asked, and answers when it is let."""

    def __init__(self, row: Job) -> None:
        self.row = row
        self.begun = 0
        self.may_answer = asyncio.Event()

    async def __call__(self) -> Job:
        self.begun += 1
        await self.may_answer.wait()
        return self.row


def _in_a_scene(scene: Callable[[ShownJobs, _Readings], Awaitable[None]], row: Job) -> None:
    hub = Hub("postgresql+psycopg://nobody@/none?host=/nowhere")
    hub.listening = True

    async def play() -> None:
        await scene(ShownJobs(hub), _Readings(row))

    asyncio.run(play())


def test_many_who_ask_at_once_cost_one_look_and_none_of_them_ends_it_by_leaving(tenant: Tenancy) -> None:
    job = tenant.job()

    async def scene(shown: ShownJobs, readings: _Readings) -> None:
        asking = [asyncio.create_task(shown.get(job.id, tenant_id=tenant.tenant_id, read=readings)) for _ in range(20)]
        await asyncio.sleep(0.01)
        asking[0].cancel()
        readings.may_answer.set()
        answers = await asyncio.gather(*asking, return_exceptions=True)
        assert readings.begun == 1
        assert isinstance(answers[0], asyncio.CancelledError)
        assert all(isinstance(answer, Shown) and answer.version == job.version for answer in answers[1:])

    _in_a_scene(scene, job)


def test_a_look_that_began_before_a_change_is_not_shared_after_it(tenant: Tenancy) -> None:
    job = tenant.job()

    async def scene(shown: ShownJobs, readings: _Readings) -> None:
        before = asyncio.create_task(shown.get(job.id, tenant_id=tenant.tenant_id, read=readings))
        await asyncio.sleep(0.01)
        shown.forget(job.id)
        after = asyncio.create_task(shown.get(job.id, tenant_id=tenant.tenant_id, read=readings))
        await asyncio.sleep(0.01)
        assert readings.begun == 2
        readings.may_answer.set()
        await asyncio.gather(before, after)

    _in_a_scene(scene, job)


def test_an_error_reaches_all_who_wait_and_the_next_asks_again(tenant: Tenancy) -> None:
    job = tenant.job()

    async def scene(shown: ShownJobs, readings: _Readings) -> None:
        async def fail() -> Job:
            await asyncio.sleep(0.01)
            raise OSError("gone")

        asking = [shown.get(job.id, tenant_id=tenant.tenant_id, read=fail) for _ in range(3)]
        answers = await asyncio.gather(*asking, return_exceptions=True)
        assert all(isinstance(answer, OSError) for answer in answers)
        readings.may_answer.set()
        assert (await shown.get(job.id, tenant_id=tenant.tenant_id, read=readings)).version == job.version

    _in_a_scene(scene, job)


def _progress(tenant: Tenancy, job_id: str, completed: int) -> None:
    progress = f'{{"fraction": 0.5, "completed": {completed}, "total": 100, "unit": "batches"}}'
    with tenant.sessions.begin() as session:
        session.execute(
            text("UPDATE jobs SET version = version + 1, progress = CAST(:progress AS jsonb) WHERE id = :id"),
            {"progress": progress, "id": job_id},
        )

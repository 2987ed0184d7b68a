"""The hub by itself: who is woken, how urgently, and what happens while the database cannot be had."""

import asyncio
from contextlib import suppress

from app.changes.hub import Change, Hub, Watch
from tests.app.events.conftest import Sessions, Tenancy, Work
from tests.servers.postgres import Database


def test_a_payload_reads_as_the_trigger_writes_it() -> None:
    assert Change.parse("job_1 tnt_1 3 2 running") == Change("job_1", "tnt_1", 3, 2, "running", None)
    assert Change.parse("job_1 tnt_1 3 2 running mdl_1").subject_id == "mdl_1"


def test_everybody_looks_for_themselves_while_nobody_can_listen() -> None:
    async def listens_after_three_wakes() -> bool:
        hub = Hub("postgresql+psycopg://nobody@/none?host=/nowhere")
        task = asyncio.create_task(hub.run())
        with hub.watch("job_1") as watch:
            for _ in range(3):
                await asyncio.wait_for(watch.wait(), 5)
                assert watch.urgent
                watch.clear()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        return hub.listening

    assert not asyncio.run(listens_after_three_wakes())


def test_only_progress_is_not_urgent_and_only_those_concerned_are_woken(
    database: Database, tenant: Tenancy, sessions: Sessions
) -> None:
    work, other = Work(sessions, tenant.job()), Work(sessions, tenant.job())
    work.claim()

    async def change(watch: Watch, completed: int, stage: str) -> bool:
        watch.clear()
        await asyncio.to_thread(work.report, stage, completed)
        await asyncio.wait_for(watch.wait(), 5)
        return watch.urgent

    async def urgency() -> list[bool]:
        hub = Hub(database.url)
        task = asyncio.create_task(hub.run())
        with hub.watch(work.job.id) as mine, hub.watch(tenant.tenant_id) as tenants, hub.watch(other.job.id) as foreign:
            await asyncio.wait_for(mine.wait(), 10)  # which tells that the hub listens now
            tenants.clear()
            foreign.clear()
            seen = [
                await change(mine, 1, "fetch"),
                await change(mine, 2, "fetch"),
                await change(mine, 3, "inspect"),
            ]
            assert tenants.moved == {work.job.id}
            await foreign.wait(0.05)
            assert not foreign.moved
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        return seen

    assert asyncio.run(urgency()) == [True, False, True]

"""What happened to jobs is told once, by whoever has committed it."""

import asyncio

from sqlalchemy.ext.asyncio import AsyncSession

from app.changes.hub import Hub
from app.jobs.announce import Announcer
from app.jobs.news import JobNews, news_of, told_to
from app.jobs.shown import ShownJobs


class NotedAnnouncer(Announcer):
    def __init__(self) -> None:
        super().__init__("redis://127.0.0.1:9")
        self.queues: list[str] = []

    async def announce(self, queue: str) -> None:
        self.queues.append(queue)


class NotedJobs(ShownJobs):
    def __init__(self) -> None:
        super().__init__(Hub("postgresql+psycopg://nobody@/none?host=/nowhere"))
        self.forgotten: list[str] = []

    def forget(self, job_id: str) -> None:
        self.forgotten.append(job_id)


def test_news_are_gathered_and_told_once() -> None:
    async def scene() -> None:
        session, announcer, shown = AsyncSession(), NotedAnnouncer(), NotedJobs()
        news_of(session).queues.add("cpu")
        news_of(session).queues.add("cpu")
        news_of(session).changed.add("job_1")
        tell = told_to(announcer, shown)
        tell(session)
        tell(session)  # the session goes on, and nothing more has happened
        await asyncio.sleep(0)
        assert (announcer.queues, shown.forgotten) == (["cpu"], ["job_1"])
        assert news_of(session) == JobNews()

    asyncio.run(scene())

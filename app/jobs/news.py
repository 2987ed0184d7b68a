"""What a transaction does to jobs, and who is told of it: after its commit, never before, for that may yet fail."""

from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncSession

from app.jobs.announce import Announcer
from app.jobs.shown import ShownJobs


@dataclass(frozen=True)
class JobNews:
    queues: set[str] = field(default_factory=set)
    """Those that a job was put into: workers are told to look."""
    changed: set[str] = field(default_factory=set)
    """Jobs that are another than before: what is kept of them is forgotten."""


def news_of(session: AsyncSession) -> JobNews:
    """The news of the transaction under way. Services add to them."""
    news: JobNews = session.info.setdefault(JobNews, JobNews())
    return news


def told_to(announcer: Announcer, shown_jobs: ShownJobs) -> Callable[[AsyncSession], None]:
    """What tells them the news of a session whose transaction is committed."""

    def tell(session: AsyncSession) -> None:
        news: JobNews = session.info.pop(JobNews, JobNews())
        announcer.announce_soon(news.queues)
        for job_id in news.changed:
            shown_jobs.forget(job_id)

    return tell

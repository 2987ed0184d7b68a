"""One connection to the database that hears of every change of a job, for all who wait in this process.

A notification only says where to look; who is woken reads the rows. So a lost one costs time and nothing else, and
after every interruption of the connection everybody looks again.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

import psycopg
import structlog
from psycopg.conninfo import make_conninfo
from sqlalchemy import make_url

from app.contracts.status import TERMINAL
from app.prompt_connection import SILENCE_NOTICED

log = structlog.get_logger("lowbit.hub")

CHANNEL = "lowbit_jobs"
APPLICATION_NAME = "lowbit-listener"
PAUSES_SECONDS = (0.1, 0.5, 1.0, 2.0)
"""Between attempts to listen. Everybody is woken after each, so this is also how often they look while it fails."""


class Change(NamedTuple):
    """A notification: a job's row is another than it was."""

    job_id: str
    tenant_id: str
    version: int
    last_event: int
    status: str
    subject_id: str | None
    """The model, data set or upload that the job is about, if it is not a user's job."""

    @classmethod
    def parse(cls, payload: str) -> "Change":
        job_id, tenant_id, version, last_event, status, *subject = payload.split(" ")
        return cls(job_id, tenant_id, int(version), int(last_event), status, subject[0] if subject else None)


class Watch:
    """Somebody who waits for news of a job, a subject or a tenant."""

    def __init__(self) -> None:
        self.moved: set[str] = set()
        """Jobs that have changed since `clear`; those that changed while nobody listened are not among them."""
        self._woken = asyncio.Event()
        self._urgent = asyncio.Event()

    @property
    def woken(self) -> bool:
        """Something has happened since `clear`."""
        return self._woken.is_set()

    @property
    def urgent(self) -> bool:
        """More has happened than progress, or nobody knows what has."""
        return self._urgent.is_set()

    def wake(self, job_id: str | None, *, urgent: bool) -> None:
        if job_id is not None:
            self.moved.add(job_id)
        if urgent:
            self._urgent.set()
        self._woken.set()

    def clear(self) -> None:
        """To be called before looking: what changes during the look wakes again."""
        self.moved.clear()
        self._woken.clear()
        self._urgent.clear()

    async def wait(self, seconds: float | None = None) -> None:
        """Until something has changed, or the time is over."""
        await _within(self._woken, seconds)

    async def wait_for_urgent(self, seconds: float) -> None:
        await _within(self._urgent, seconds)


class Hub:
    def __init__(self, database_url: str) -> None:
        self._conninfo = make_conninfo(
            make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False),
            application_name=APPLICATION_NAME,
            connect_timeout=5,
            **SILENCE_NOTICED,
        )
        self._watches: dict[str, set[Watch]] = defaultdict(set)
        self._last_events: dict[str, int] = {}
        self.listening = False
        self.closed = False
        """The process is to stop: whoever waits is woken and should come to an end."""

    @contextmanager
    def watch(self, *keys: str) -> Iterator[Watch]:
        """Be woken by changes of these: ids of jobs, models, data sets, uploads or tenants."""
        watch = Watch()
        for key in keys:
            self._watches[key].add(watch)
        try:
            yield watch
        finally:
            for key in keys:
                self._watches[key].discard(watch)
                if not self._watches[key]:
                    del self._watches[key]

    def close(self) -> None:
        self.closed = True
        self._wake_everybody()

    async def run(self) -> None:
        """Listen until cancelled. While that cannot be had, everybody is woken now and then to look for themselves."""
        failures = 0
        while True:
            try:
                await self._listen()
            except (psycopg.Error, OSError) as error:
                failures = 0 if self.listening else failures + 1
                log.warning("listening interrupted", error=type(error).__name__, failures=failures)
            self.listening = False
            self._wake_everybody()
            await asyncio.sleep(PAUSES_SECONDS[min(failures, len(PAUSES_SECONDS) - 1)])

    async def _listen(self) -> None:
        connection = await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True)
        async with connection:
            await connection.execute(f"LISTEN {CHANNEL}")
            self.listening = True
            self._last_events.clear()
            self._wake_everybody()  # of what happened while nobody listened nothing was heard
            async for notice in connection.notifies():
                self._tell(Change.parse(notice.payload))

    def _tell(self, change: Change) -> None:
        urgent = change.last_event > self._last_events.get(change.job_id, 0)
        if change.status in TERMINAL:
            self._last_events.pop(change.job_id, None)
        else:
            self._last_events[change.job_id] = change.last_event
        for key in (change.job_id, change.tenant_id, change.subject_id):
            for watch in self._watches.get(key, ()) if key else ():
                watch.wake(change.job_id, urgent=urgent)

    def _wake_everybody(self) -> None:
        for watches in self._watches.values():
            for watch in watches:
                watch.wake(None, urgent=True)


async def _within(event: asyncio.Event, seconds: float | None) -> None:
    if not event.is_set():
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await event.wait()

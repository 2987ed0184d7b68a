"""The last answers about jobs, kept while nothing has changed: many who ask cost one look at the database.

An answer holds a watch of the hub from before it was read. A change wakes the watch, and the answer is good no more. So
it is outdated for as long as a notification takes; and never for more than `KEPT_SECONDS`, should one be lost.

Those who ask while it is being read wait for the same reading: else each change would send all of them to the database.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import NamedTuple, cast

from fastapi import Request, Response

from app.changes.hub import Hub, Watch
from app.contracts.status import TERMINAL
from app.jobs.schemas import JobRead
from app.tables import Job

KEPT_SECONDS = 1.0
MOST_KEPT = 2048


class Shown(NamedTuple):
    """A job as a client sees it."""

    version: int
    done: bool
    body: bytes

    @classmethod
    def of(cls, row: Job) -> "Shown":
        return cls(row.version, row.status in TERMINAL, JobRead.of(row).model_dump_json().encode())

    def response(self, if_none_match: str | None) -> Response:
        """200 with the job, or 304 if the client has it."""
        headers = {"ETag": f'"v{self.version}"'}
        if self.version in versions(if_none_match):
            return Response(status_code=304, headers=headers)
        return Response(self.body, headers=headers, media_type="application/json")


def versions(if_none_match: str | None) -> set[int]:
    """Those that a client says it has."""
    return {int(v) for v in re.findall(r'"v(\d{1,18})"', if_none_match)} if if_none_match else set()


class _Kept(NamedTuple):
    shown: Shown
    watch: Watch
    until: float
    watching: ExitStack


class _Reading(NamedTuple):
    """A look at the database that is under way."""

    watch: Watch
    task: asyncio.Task[Shown]


_Key = tuple[str, str]
"""A job's id and its tenant's."""


class ShownJobs:
    def __init__(self, hub: Hub, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._hub = hub
        self._clock = clock
        self._kept: dict[_Key, _Kept] = {}
        self._reading: dict[_Key, _Reading] = {}

    async def get(self, job_id: str, *, tenant_id: str, read: Callable[[], Awaitable[Job]]) -> Shown:
        """What `read` finds, or found a moment ago. Its errors pass."""
        kept = self.peek(job_id, tenant_id=tenant_id)
        if kept is not None:
            return kept
        reading = self._reading.get((job_id, tenant_id))
        if reading is None or reading.watch.woken:
            reading = self._begin((job_id, tenant_id), read)
        return await asyncio.shield(reading.task)  # whoever leaves does not end it for the others

    def peek(self, job_id: str, *, tenant_id: str) -> Shown | None:
        """The answer, if there is a good one."""
        kept = self._kept.get((job_id, tenant_id))
        return kept.shown if kept is not None and self._holds(kept) else None

    def forget(self, job_id: str) -> None:
        """Whoever has changed a job here sees the change with the next request, however long the notification takes."""
        for key in [key for key in self._kept if key[0] == job_id]:
            self._kept.pop(key).watching.close()
        for key in [key for key in self._reading if key[0] == job_id]:
            del self._reading[key]

    def _begin(self, key: _Key, read: Callable[[], Awaitable[Job]]) -> _Reading:
        watching = ExitStack()
        watch = watching.enter_context(self._hub.watch(key[0]))
        reading = _Reading(watch, asyncio.create_task(self._read(key, read, watch, watching)))
        self._reading[key] = reading
        reading.task.add_done_callback(lambda _: self._ended(key, reading))
        return reading

    async def _read(self, key: _Key, read: Callable[[], Awaitable[Job]], watch: Watch, watching: ExitStack) -> Shown:
        with watching:
            asked_at = self._clock()
            shown = Shown.of(await read())
            current = self._reading.get(key)
            if self._hub.listening and current is not None and current.watch is watch:  # and not forgotten meanwhile
                self._keep(key, _Kept(shown, watch, asked_at + KEPT_SECONDS, watching.pop_all()))
        return shown

    def _ended(self, key: _Key, reading: _Reading) -> None:
        if self._reading.get(key) is reading:
            del self._reading[key]
        if not reading.task.cancelled():
            reading.task.exception()  # those who waited have it; if all of them left, nobody misses it

    def _holds(self, kept: _Kept) -> bool:
        return self._hub.listening and not kept.watch.woken and self._clock() < kept.until

    def _keep(self, key: _Key, kept: _Kept) -> None:
        earlier = self._kept.pop(key, None)
        if earlier is not None:
            earlier.watching.close()
        if len(self._kept) >= MOST_KEPT:
            self._make_room()
        self._kept[key] = kept

    def _make_room(self) -> None:
        outdated = [key for key, kept in self._kept.items() if not self._holds(kept)]
        for key in outdated or list(self._kept):
            self._kept.pop(key).watching.close()


def shown_jobs(request: Request) -> ShownJobs:
    return cast("ShownJobs", request.app.state.shown_jobs)

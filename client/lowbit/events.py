"""A job's events as they happen: a stream that survives cut connections without a gap and without a repetition."""

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from lowbit.errors import NoConnection, WaitTimeout
from lowbit.wire import Call, Wire, address

LONGEST_SILENCE_SECONDS = 45.0
"""The service says something every fifteen; after three silences the connection is taken for dead."""

PAUSES_SECONDS = (0.2, 1.0, 3.0, 5.0, 10.0)
"""Before each attempt to come back. When the last one has failed too, the service is gone."""


@dataclass(frozen=True)
class Event:
    """Something that happened to a job. `progress` has no id: only the newest is of interest."""

    type: str
    data: dict[str, Any]
    id: str | None = None


def job_events(wire: Wire, job_id: str, *, after: int | None = None, timeout: float | None = None) -> Iterator[Event]:
    """Every event up to `done`. `after`: the number of the last one that is known already.

    Raises:
        WaitTimeout: the job is not done after `timeout` seconds, looked at whenever the service says something.
        NoConnection: the service cannot be reached any more.

    """
    deadline = time.monotonic() + timeout if timeout is not None else float("inf")
    last_id = None if after is None else str(after)
    attempts = 0
    while True:
        try:
            with wire.open(_call(job_id, last_id, deadline)) as response:
                if response.status_code == 204:  # ended, and all of it is known
                    return
                for event in _until(deadline, parsed(response.iter_lines())):
                    if event is None:
                        continue
                    attempts, last_id = 0, event.id or last_id
                    yield event
                    if event.type == "done":
                        return
        except NoConnection:
            if attempts == len(PAUSES_SECONDS) and time.monotonic() < deadline:
                raise
        left = deadline - time.monotonic()
        if left <= 0:
            raise WaitTimeout(f"{job_id} is not done after {timeout:g} s; it goes on")
        time.sleep(min(left, PAUSES_SECONDS[min(attempts, len(PAUSES_SECONDS) - 1)]))
        attempts += 1


def parsed(lines: Iterable[str]) -> Iterator[Event | None]:
    """The events of a stream; None for each line between them, so that a caller can look at the clock."""
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        if line and name:
            fields[name] = value.removeprefix(" ")
        elif not line and "event" in fields:
            yield Event(fields["event"], json.loads(fields.get("data", "null")), fields.get("id"))
            fields = {}
        elif not line:
            fields = {}
        yield None


def _until(deadline: float, events: Iterator[Event | None]) -> Iterator[Event | None]:
    for event in events:
        yield event
        if time.monotonic() >= deadline:
            return


def _call(job_id: str, last_id: str | None, deadline: float) -> Call:
    headers = {"Accept": "text/event-stream"} | ({} if last_id is None else {"Last-Event-ID": last_id})
    silence = min(LONGEST_SILENCE_SECONDS, max(0.1, deadline - time.monotonic()))
    return Call("GET", address("jobs", job_id, "events"), headers=headers, silence_seconds=silence)

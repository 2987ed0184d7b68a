"""Ids that join what a request, its job and the worker write: the request id, and the trace of W3C Trace Context.

They travel with the job's row, so they reach whichever worker claims it, and every attempt.
"""

import re
from contextvars import ContextVar
from typing import NamedTuple

from app.tables import Job

_TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
"""https://www.w3.org/TR/trace-context/#traceparent-header, version 00. Ids of zeros are invalid."""


class Correlation(NamedTuple):
    request_id: str
    traceparent: str | None


_current: ContextVar[Correlation | None] = ContextVar("correlation", default=None)


def begin(request_id: str, traceparent: str | None) -> None:
    """From here on, what this request queues belongs to it."""
    _current.set(Correlation(request_id, traceparent))


def stamp(job: Job) -> None:
    """Write on a job which request it comes from, if it comes from one."""
    current = _current.get()
    if current is not None:
        job.request_id, job.traceparent = current


def valid_traceparent(header: str) -> str | None:
    return header if _TRACEPARENT.fullmatch(header) else None


def log_fields(*, request_id: str | None, traceparent: str | None) -> dict[str, str]:
    """What every log line of a request or a job carries."""
    fields = {"request_id": request_id, "trace_id": _trace_id(traceparent)}
    return {name: value for name, value in fields.items() if value is not None}


def _trace_id(traceparent: str | None) -> str | None:
    found = _TRACEPARENT.fullmatch(traceparent or "")
    return found.group(1) if found else None

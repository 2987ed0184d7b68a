"""Server-sent events as bytes. Their names never include `error`, which is what EventSource calls its own."""

from typing import Literal

from pydantic_core import to_json

from app.jobs.events import EventType

StreamEvent = EventType | Literal["snapshot", "progress"]

PING = b": ping\n\n"
RETRY = b"retry: 3000\n\n"
"""Milliseconds after which a client that lost its connection should come back."""


def frame(event: StreamEvent, data: object, *, event_id: str | None = None) -> bytes:
    """One event. An event without an id leaves the client's `Last-Event-ID` as it is."""
    identity = b"" if event_id is None else b"id: %s\n" % event_id.encode()
    # JSON as it is written here has no line breaks, so the data are one line
    return b"%sevent: %s\ndata: %s\n\n" % (identity, event.encode(), to_json(data))

"""Events from a pipe, without ever blocking for longer than asked, and without trusting the other side."""

import os
import selectors
import time
from collections.abc import Iterator
from typing import IO

import structlog
from pydantic import ValidationError

from workers.protocol.events import EVENT, MAX_EVENT_BYTES, Event

log = structlog.get_logger("lowbit.event_lines")

READS_AFTER_END = 4
"""Of 64 KiB, which is all that a pipe holds."""
MAX_UNREADABLE_LOGGED = 10
"""A process that talks nonsense must not fill the worker's log."""


class EventLines:
    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._buffer = b""
        self._ended = False
        self._unreadable = 0
        os.set_blocking(self._stream.fileno(), False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._stream, selectors.EVENT_READ)

    def read(self, timeout_seconds: float) -> list[Event]:
        """The events that arrive within a time; after the end of the stream, none."""
        if self._ended:
            time.sleep(timeout_seconds)
            return []
        if not self._selector.select(timeout_seconds):
            return []
        return self._take()

    def rest(self) -> Iterator[Event]:
        """What is still in the pipe. A process left behind may hold it open or fill it: do not wait for its end."""
        for _ in range(READS_AFTER_END):
            if not self._ended and self._selector.select(0):
                yield from self._take()

    def close(self) -> None:
        self._selector.close()
        self._stream.close()

    def _take(self) -> list[Event]:
        chunk: bytes | None = self._stream.read(64 * 1024)  # None: nothing yet, on a stream that does not block
        if chunk is None:
            return []
        self._ended = chunk == b""
        *lines, self._buffer = (self._buffer + chunk).split(b"\n")
        if len(self._buffer) > MAX_EVENT_BYTES:
            self._buffer = b""
        return [event for line in lines if (event := self._parsed(line)) is not None]

    def _parsed(self, line: bytes) -> Event | None:
        if len(line) > MAX_EVENT_BYTES:
            return None
        try:
            return EVENT.validate_json(line)
        except ValidationError:
            self._unreadable += 1
            if self._unreadable <= MAX_UNREADABLE_LOGGED:
                log.warning("unreadable event", line=line[:200].decode(errors="replace"))
            return None

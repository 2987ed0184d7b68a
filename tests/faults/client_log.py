"""What the clients asked and were told, in order: invoke, then ok, fail or unknown (no answer that one may rely on)."""

import re
import threading
import time
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

ID = re.compile(r"\b(?:job|mdl|ds|file|var|art|upl)_[0-9a-f-]{20,}\b")


class Outcome(StrEnum):
    INVOKE = "invoke"
    OK = "ok"
    FAIL = "fail"  # certainly nothing has happened
    UNKNOWN = "unknown"  # it may have happened


class Action(StrEnum):
    SUBMIT = "submit"
    READ = "read"
    CANCEL = "cancel"
    DOWNLOAD = "download"
    PRY = "pry"  # one tenant asks for what belongs to another


@dataclass(frozen=True)
class Entry:
    at: float
    tenant: str
    action: Action
    outcome: Outcome
    key: str | None = None
    """The Idempotency-Key of a submission."""
    job_id: str | None = None
    artifact_id: str | None = None
    http_status: int | None = None
    job_status: str | None = None
    sha256: str | None = None
    """Of the bytes that a download brought."""
    ids: frozenset[str] = frozenset()
    """Every id that the answer shows."""


@dataclass
class ClientLog:
    entries: list[Entry] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, tenant: str, action: Action, outcome: Outcome, **facts: Any) -> Entry:
        entry = Entry(time.monotonic(), tenant, action, outcome, **facts)
        with self._lock:
            self.entries.append(entry)
        return entry

    def shown(self) -> tuple[Entry, ...]:
        with self._lock:
            return tuple(self.entries)


def ids_in(text: str) -> frozenset[str]:
    return frozenset(ID.findall(text))

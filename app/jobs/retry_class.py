"""Why an attempt ended without a result, and what follows: the one table. Each class has a budget of its own."""

from dataclasses import dataclass
from enum import StrEnum
from random import uniform
from typing import Literal


class RetryClass(StrEnum):
    USER_ERROR = "user_error"  # the user's input, or a limit, stopped the work
    TRANSIENT = "transient"  # the store, the database or the scratch disk is away
    CRASH = "crash"  # the job's process died or left nonsense
    STALLED = "stalled"  # the job's process gave no sign of life
    LOST = "lost"  # the worker vanished; the job may be what kills its machine
    OUT_OF_MEMORY = "out_of_memory"  # the same attempt would need as much again
    DEADLINE = "deadline"  # the attempt took longer than the job may


@dataclass(frozen=True)
class RetryRule:
    counter: Literal["crashes", "losses", "postponements"] | None
    """The column that counts such ends against the budget; None: the first one ends the job."""
    pause_seconds: float = 0.0
    """Before the next attempt, times the number of such ends: what just failed rarely works at once."""


RULES: dict[RetryClass, RetryRule] = {
    RetryClass.USER_ERROR: RetryRule(None),
    RetryClass.TRANSIENT: RetryRule("postponements"),  # its pauses grow differently: see `postponement`
    RetryClass.CRASH: RetryRule("crashes", pause_seconds=2.0),
    RetryClass.STALLED: RetryRule("crashes", pause_seconds=2.0),
    RetryClass.LOST: RetryRule("losses"),  # a lease has already run out meanwhile
    RetryClass.OUT_OF_MEMORY: RetryRule(None),
    RetryClass.DEADLINE: RetryRule(None),
}
"""Counters stand against the job's `max_attempts`, postponements against a total time."""

FIRST_PAUSE_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 300.0
JITTER = 0.25
"""Jobs that met the same outage must not come back in the same second."""


def postponement(postponed_before: int, *, total_seconds: float) -> float | None:
    """How long a job waits that could not be done now: each pause twice the last. None when it has waited enough."""
    waited = sum(_pause(n) for n in range(postponed_before))
    if waited >= total_seconds:
        return None
    return _pause(postponed_before) * uniform(1 - JITTER, 1 + JITTER)  # noqa: S311  no secret


def _pause(n: int) -> float:
    return min(FIRST_PAUSE_SECONDS * 2.0 ** min(n, 16), LONGEST_PAUSE_SECONDS)

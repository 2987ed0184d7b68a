"""Kills processes at random, with -9, by a seed; then heals what does not heal by itself."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import psutil

from tests.faults.fleet import Fleet, Role, until

MIN_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 2.0, 5.0
S3_PERIOD_SECONDS = 40.0
"""It takes 12 to 18 s to come back: more often, and there would be no store at all."""
LOCAL = [role for role in Role if role != Role.S3]


@dataclass
class Nemesis:
    fleet: Fleet
    rng: random.Random
    say: Callable[[str], None]
    kills: Counter[Role] = field(default_factory=Counter)

    def rage(self, *, seconds: float) -> None:
        """Kill something every few seconds; the supervisor, and for S3 this class, start it again."""
        started = time.monotonic()
        next_s3 = started + S3_PERIOD_SECONDS / 2
        while time.monotonic() - started < seconds:
            time.sleep(self.rng.uniform(MIN_PAUSE_SECONDS, MAX_PAUSE_SECONDS))
            if time.monotonic() > next_s3:
                next_s3 = time.monotonic() + S3_PERIOD_SECONDS
                self._restart_s3()
            else:
                self._kill_one()

    def heal(self, *, seconds: float) -> None:
        """Wait until every part answers again."""
        self.fleet.s3.wait_until_it_stores()
        until(self.fleet.is_ready, seconds=seconds, pause_seconds=0.5)

    def _kill_one(self) -> None:
        """One process of one of the roles that have any alive."""
        alive = {role: found for role in LOCAL if (found := self.fleet.processes(role))}
        if not alive:
            return
        # what was killed less often is more likely to be next: few job processes are alive at any moment
        role = self.rng.choices(list(alive), weights=[1 / (1 + self.kills[one]) ** 2 for one in alive])[0]
        try:
            self.rng.choice(alive[role]).kill()
        except psutil.NoSuchProcess:
            return
        self._count(role)

    def _restart_s3(self) -> None:
        """Its clients see a refused connection until it is back, which nobody waits for here."""
        self.fleet.s3.kill()
        self._count(Role.S3)
        threading.Timer(1.0, self.fleet.s3.start).start()

    def _count(self, role: Role) -> None:
        self.kills[role] += 1
        self.say(f"killed: {role}")

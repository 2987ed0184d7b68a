"""Jobs under fire: clients at work while processes are killed at random, then the nine invariants.

    python -m tests.faults.chaos --jobs 50 --seconds 120 --seed 1

Progress goes to stderr, one JSON line to stdout. Exit code 1 if any invariant is violated.
"""

import argparse
import json
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

from app.tables import DEFAULT_TENANT_ID
from tests.faults import history
from tests.faults.checker import Violation, violations
from tests.faults.client_log import ClientLog
from tests.faults.clients import Clients, Tenant
from tests.faults.evidence import Evidence, advisory_locks, gathered
from tests.faults.fleet import Fleet, another_tenant, running_fleet, running_s3
from tests.faults.nemesis import Nemesis
from tests.servers.seaweedfs import Seaweed

HEAL_SECONDS = 90.0
DRAIN_SECONDS = 480.0
STUCK_SECONDS = 120.0
"""Without any job that ended."""
SETTLE_SECONDS = 20.0
"""After the last job: for processes that are ending, and for folders that are being swept."""

ENVIRONMENT = {"LOWBIT_MAX_ATTEMPTS": "5"}
"""So that most jobs get through, and a few are given up."""

FIELD_OF = {"I1": "lost", "I6": "lost", "I2": "doubled", "I5": "doubled", "I3": "wrong_artifacts", "I8": "left_over"}


@dataclass(frozen=True)
class Verdict:
    jobs: int
    kills: int
    found: list[Violation]

    def line(self) -> str:
        counts = Counter(FIELD_OF.get(one.invariant) for one in self.found)
        fields = ("lost", "doubled", "wrong_artifacts", "left_over")
        return json.dumps({"jobs": self.jobs, "kills": self.kills, **{name: counts[name] for name in fields}})


def chaos(s3: Seaweed, *, jobs: int, seconds: float, seed: int) -> Verdict:
    """One whole run against a service of its own."""
    with running_fleet(s3, ENVIRONMENT) as fleet:
        say("the service is up")
        tenants = _tenants(fleet)
        with fleet.connect() as connection:
            history.install(connection)
            locks_before = advisory_locks(connection)
        nemesis = Nemesis(fleet, random.Random(seed), say)
        clients = Clients(ClientLog(), tenants, random.Random(seed + 1))
        with clients.at_work(jobs=jobs, seconds=seconds):
            nemesis.rage(seconds=seconds)
            nemesis.heal(seconds=HEAL_SECONDS)
            say("the service has healed")
            _drain(fleet, clients)
        evidence = _settled(fleet, clients, locks_before)
        found = violations(evidence)
        _tell(evidence, nemesis)
    acknowledged = sum(len(tenant.acknowledged) for tenant in tenants)
    if acknowledged != jobs:
        found.append(Violation("clients", f"{jobs - acknowledged} of {jobs} submissions", "were never acknowledged"))
    return Verdict(acknowledged, nemesis.kills.total(), found)


def _tenants(fleet: Fleet) -> list[Tenant]:
    other, key = another_tenant(fleet, name="other")
    tenants = [Tenant(DEFAULT_TENANT_ID, fleet.service.url, fleet.service.key), Tenant(other, fleet.service.url, key)]
    for tenant in tenants:
        tenant.prepare()
    return tenants


def _drain(fleet: Fleet, clients: Clients) -> None:
    """Wait until all work is done, or no longer gets on. A job that never ends is for the checker to report."""
    started = moved = time.monotonic()
    left = -1
    while (now := time.monotonic()) - started < DRAIN_SECONDS and now - moved < STUCK_SECONDS:
        before, left = left, _unfinished(fleet) + clients.unseen()
        if left == 0 and clients.submitted.is_set():
            return
        moved = now if left != before else moved
        time.sleep(1.0)
    say(f"gave up waiting after {now - started:.0f} s: {left} jobs or results to go")


def _unfinished(fleet: Fleet) -> int:
    with fleet.connect() as connection:
        query = "SELECT count(*) AS n FROM jobs WHERE status IN ('queued', 'running', 'cancelling')"
        row = connection.execute(query).fetchone()
        return int(row["n"]) if row else 0


def _settled(fleet: Fleet, clients: Clients, locks_before: int) -> Evidence:
    """The evidence as soon as nothing is left behind, or as it is after a while."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        reported = _reported(clients.tenants)
        evidence = gathered(fleet, clients.log.shown(), locks_before=locks_before, reported=reported)
        if time.monotonic() > deadline or not any(one.invariant == "I8" for one in violations(evidence)):
            return evidence
        time.sleep(1.0)


def _reported(tenants: list[Tenant]) -> dict[str, int]:
    found = {}
    for tenant in tenants:
        with tenant.client() as http:
            found[tenant.id] = int(http.get("/v1/me").raise_for_status().json()["usage"]["stored_bytes"])
    return found


def _tell(evidence: Evidence, nemesis: Nemesis) -> None:
    kills = ", ".join(f"{count} x {role}" for role, count in sorted(nemesis.kills.items()))
    ends = Counter((job.kind, job.status) for job in evidence.jobs)
    attempts = Counter(job.attempt for job in evidence.jobs)
    answers = Counter(str(entry.http_status) for entry in evidence.log if entry.outcome != "invoke")
    say(f"kills: {kills}")
    say("ends: " + ", ".join(f"{n} x {kind} {status}" for (kind, status), n in sorted(ends.items())))
    say(f"attempts: {dict(sorted(attempts.items()))}; answers: {dict(sorted(answers.items()))}")
    say(f"{len(evidence.objects)} objects, {len(evidence.artifacts)} artifacts, {len(evidence.files)} files")


_STARTED = time.monotonic()


def say(message: str) -> None:
    sys.stderr.write(f"{time.monotonic() - _STARTED:7.1f} s  {message}\n")
    sys.stderr.flush()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Jobs while processes are killed at random.")
    parser.add_argument("--jobs", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--seed", type=int, default=1)
    given: dict[str, Any] = vars(parser.parse_args(arguments))
    with running_s3() as s3:
        verdict = chaos(s3, **given)
    for one in verdict.found:
        say(f"VIOLATED {one.invariant}: {one.subject} {one.what}")
    sys.stdout.write(verdict.line() + "\n")
    return 1 if verdict.found else 0


if __name__ == "__main__":
    sys.exit(main())

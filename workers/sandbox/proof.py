"""Finds out whether a level of the sandbox holds here, by running the canaries inside it."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from workers.sandbox.canaries import ALLOWED, DENIED, TOLD_FILE
from workers.sandbox.enclosure import enclosed, returncode
from workers.sandbox.environment import job_environment
from workers.sandbox.levels import Level
from workers.sandbox.outside import Outside, as_json, outside

TIMEOUT_SECONDS = 20.0
"""A cold start reads the packages from disk; a warm one takes a fraction of a second."""

COMMAND = (sys.executable, "-m", "workers.sandbox.canaries")

NOT_REQUIRED: dict[Level, frozenset[str]] = {
    Level.BUBBLEWRAP: frozenset(),
    Level.NAMESPACES: frozenset({"shared_processes"}),
    Level.LANDLOCK: frozenset({"shared_processes", "shared_network"}),
    Level.NONE: frozenset(DENIED),
}
"""Without a network of its own there are still no sockets, and processes of others cannot be touched, only listed."""


@dataclass(frozen=True)
class Check:
    name: str
    passed: bool
    required: bool
    detail: str = ""


@dataclass(frozen=True)
class Proof:
    level: Level
    checks: tuple[Check, ...] = ()
    failure: str = ""
    """Why the canaries could not be run at all."""

    @property
    def holds(self) -> bool:
        return bool(self.checks) and not self.failure and all(c.passed for c in self.checks if c.required)

    @property
    def reason(self) -> str:
        """Why it does not hold, in one line."""
        if self.failure:
            return self.failure
        return "; ".join(f"{c.name}: {c.detail}" for c in self.checks if c.required and not c.passed)


def prove(level: Level, folder: Path, *, devices: Sequence[Path] = ()) -> Proof:
    """Run the canaries at this level, with the nodes of a GPU perhaps. `folder` exists, is empty, and is used up."""
    scratch = folder / "scratch"
    scratch.mkdir(mode=0o700)
    try:
        with outside(folder / "outside") as around:
            (scratch / TOLD_FILE).write_text(as_json(around.told))
            ran = _run(level, scratch, devices)
            if returncode(level, ran.returncode) != 0:
                return Proof(level, failure=_last_line(ran))
            return Proof(level, _judged(level, json.loads(ran.stdout), around))
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        return Proof(level, failure=str(error))


def _run(level: Level, scratch: Path, devices: Sequence[Path]) -> "subprocess.CompletedProcess[str]":
    with enclosed(level, COMMAND, scratch, devices=devices) as inside:
        return subprocess.run(
            inside.command,
            pass_fds=inside.descriptors,
            cwd=scratch,
            env=job_environment(scratch),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            start_new_session=True,
            check=False,
        )


def _judged(level: Level, said: dict[str, dict[str, str | None]], around: Outside) -> tuple[Check, ...]:
    found = {**said["reached"], **around.traces(), **said["works"]}
    names = [*DENIED, *ALLOWED]
    return tuple(Check(n, found[n] is None, n not in NOT_REQUIRED[level], found[n] or "") for n in names)


def _last_line(ran: "subprocess.CompletedProcess[str]") -> str:
    lines = [line for line in ran.stderr.splitlines() if line.strip()]
    return lines[-1] if lines else f"the canaries ended with {ran.returncode}"

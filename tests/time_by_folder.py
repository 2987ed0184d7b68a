"""The time that each folder of tests took: what a change adds to the suite shows here."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import NamedTuple

import pytest

LEVELS = 3
"""`tests/app/jobs`, say: what lies deeper is counted there."""


class Spent(NamedTuple):
    folder: str
    tests: int
    seconds: float
    """With the setup and the teardown of what the tests asked for; a shared server counts where it was first needed."""


def by_folder(reports: Iterable[pytest.TestReport]) -> list[Spent]:
    """The folder that took longest comes first."""
    seconds: defaultdict[str, float] = defaultdict(float)
    tests: defaultdict[str, set[str]] = defaultdict(set)
    for report in reports:
        folder = _folder(report.nodeid)
        seconds[folder] += report.duration
        tests[folder].add(report.nodeid)
    return sorted((Spent(f, len(tests[f]), s) for f, s in seconds.items()), key=lambda spent: -spent.seconds)


def write(terminal: pytest.TerminalReporter) -> None:
    """Under xdist, of all processes together."""
    told = [
        report for reports in terminal.stats.values() for report in reports if isinstance(report, pytest.TestReport)
    ]
    if not told:
        return
    terminal.section("time by folder")
    total = sum(report.duration for report in told)
    for spent in by_folder(told):
        terminal.write_line(
            f"{spent.seconds:7.1f} s {spent.seconds / total:4.0%}  {spent.folder} ({spent.tests} tests)"
        )
    terminal.write_line(f"{total:7.1f} s in all, of all processes together")


def _folder(nodeid: str) -> str:
    return "/".join(PurePosixPath(nodeid.partition("::")[0]).parent.parts[:LEVELS])

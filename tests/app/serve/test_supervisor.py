"""How a tree stops, with real processes."""

import sys
import time
from pathlib import Path

from app.serve.child import Child
from app.serve.supervisor import Supervisor

LEAVES_A_NOTE = """
import signal, sys, time
note, other = sys.argv[1:]

def stop(number, frame):
    open(note, "a").write("asked\\n")
    while other and not __import__("os").path.exists(other):
        time.sleep(0.01)
    open(note, "a").write(f"{time.monotonic()}\\n")
    sys.exit()

signal.signal(signal.SIGTERM, stop)
open(note + ".ready", "w").close()
while True:
    time.sleep(60)
"""


def _child(folder: Path, name: str, *, waits_for: str = "", is_needed: bool = True) -> Child:
    other = str(folder / waits_for) if waits_for else ""
    command = [sys.executable, "-c", LEAVES_A_NOTE, str(folder / name), other]
    return Child(
        name=name, command=command, environment={}, log_file=folder / f"{name}.log", is_needed=is_needed,
        grace_seconds=60.0,
    )  # fmt: skip


def _stopped(folder: Path, *children: Child) -> None:
    supervisor = Supervisor()
    for child in children:
        supervisor.start(child)
    deadline = time.monotonic() + 60
    while not all((folder / f"{child.name}.ready").exists() for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    supervisor.stop_all()
    assert all(child.process is not None and child.process.returncode == 0 for child in children)


def test_what_nobody_needs_stops_side_by_side(tmp_path: Path) -> None:
    """The last is waited for first, and ends only once the other has been asked."""
    _stopped(
        tmp_path,
        _child(tmp_path, "first", is_needed=False),
        _child(tmp_path, "last", waits_for="first", is_needed=False),
    )
    for name in ("first", "last"):
        assert (tmp_path / name).read_text().count("asked") == 1


def test_what_is_needed_is_asked_once_those_that_need_it_have_ended(tmp_path: Path) -> None:
    _stopped(
        tmp_path,
        _child(tmp_path, "database"),
        _child(tmp_path, "api"),
        _child(tmp_path, "worker", is_needed=False),
    )
    ends = [float((tmp_path / name).read_text().split()[-1]) for name in ("worker", "api", "database")]
    assert ends == sorted(ends)

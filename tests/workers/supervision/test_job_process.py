"""The process is not trusted: whatever it writes, however it ends, the supervisor learns the truth in bounded time."""

import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from app.contracts.problem import problem
from workers.pipeline.protocol import OUTCOME_FILE, Refused
from workers.supervision import job_process
from workers.supervision.job_process import ProcessCrashed

REFUSED = Refused(problem=problem("npz_invalid", "Cut off.")).model_dump_json()
ENDS_WELL = f"open(sys.argv[1] + '/{OUTCOME_FILE}', 'w').write({REFUSED!r})"


class StopNow(Exception):
    pass


def run(scratch: Path, code: str, *, seconds: float = 30, memory_bytes: int | None = None) -> tuple[Any, list[Any]]:
    """Run a script as the job's process; raises StopNow when it takes longer than `seconds`."""
    events: list[Any] = []
    deadline = time.monotonic() + seconds

    def check() -> None:
        if time.monotonic() > deadline:
            raise StopNow

    outcome = job_process.run(
        scratch,
        on_event=events.append,
        check=check,
        memory_bytes=memory_bytes,
        command=[sys.executable, "-c", f"import os, signal, sys, time\n{code}"],
    )
    return outcome, events


def test_events_and_the_outcome_arrive(tmp_path: Path) -> None:
    code = """print('{"event": "stage", "stage": "calibrate"}', flush=True)
print('{"event": "progress", "completed": 1, "total": 2, "unit": "samples"}')"""
    outcome, events = run(tmp_path, f"{code}\n{ENDS_WELL}")
    assert isinstance(outcome, Refused)
    assert outcome.problem.code == "npz_invalid"
    assert [event.event for event in events] == ["stage", "progress"]


def test_an_event_that_arrives_in_pieces_is_whole(tmp_path: Path) -> None:
    code = """for c in '{"event": "stage", "stage": "calibrate"}\\n':
    os.write(1, c.encode()); time.sleep(0.005)"""
    _, events = run(tmp_path, f"{code}\n{ENDS_WELL}")
    assert [event.stage for event in events] == ["calibrate"]


@pytest.mark.parametrize(
    "noise",
    [
        "print('not json')",
        'print(\'{"event": "stage", "stage": "no such stage"}\')',
        "os.write(1, bytes(range(256)) * 50)",
        "os.write(1, b'a' * 5_000_000)",
        'print(\'{"event": "log", "level": "info", "message": "\' + \'a\' * 20_000 + \'"}\')',
        "[print('[' * 3000) for _ in range(20)]",
    ],
)
def test_noise_is_ignored_and_takes_no_memory(tmp_path: Path, noise: str) -> None:
    before = psutil.Process().memory_info().rss
    outcome, events = run(tmp_path, f"{noise}\nsys.stdout.flush()\n{ENDS_WELL}")
    assert isinstance(outcome, Refused)
    assert events == []
    assert psutil.Process().memory_info().rss - before < 64 * 1024**2


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("sys.exit(3)", "exit code 3"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "out of memory"),
        ("pass", "no readable outcome"),
        (f"open(sys.argv[1] + '/{OUTCOME_FILE}', 'w').write('{{}}')", "no readable outcome"),
        (f"os.mkdir(sys.argv[1] + '/{OUTCOME_FILE}')", "no readable outcome"),
        (f"os.mkfifo(sys.argv[1] + '/{OUTCOME_FILE}')", "no readable outcome"),
        (f"os.symlink('/dev/zero', sys.argv[1] + '/{OUTCOME_FILE}')", "no readable outcome"),
        (
            f"os.truncate(os.open(sys.argv[1] + '/{OUTCOME_FILE}', os.O_CREAT | os.O_RDWR), 2**40)",
            "no readable outcome",
        ),
        ("os.truncate(2, 2**40); sys.exit(1)", "exit code 1"),
        ("os.unlink('process.log'); os.mkfifo('process.log'); sys.exit(1)", "exit code 1"),
        ("os.kill(os.getpid(), 40)", "signal 40"),
    ],
)
def test_an_end_without_an_outcome_is_a_crash_with_its_cause(tmp_path: Path, code: str, words: str) -> None:
    with pytest.raises(ProcessCrashed, match=words):
        run(tmp_path, code)


def test_a_process_that_closes_its_output_and_goes_on_is_still_stopped(tmp_path: Path) -> None:
    with pytest.raises(StopNow):
        run(tmp_path, "os.close(1)\ntime.sleep(600)", seconds=2)


def test_being_stopped_takes_the_whole_group_along_even_what_ignores_a_polite_signal(tmp_path: Path) -> None:
    code = """signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    open(sys.argv[1] + '/child', 'w').write(str(os.getpid()))
time.sleep(600)"""
    started = time.monotonic()
    with pytest.raises(StopNow):
        run(tmp_path, code, seconds=2)
    assert time.monotonic() - started < 2 + job_process.TERM_GRACE_SECONDS + 3
    child = int((tmp_path / "child").read_text())
    psutil.wait_procs([psutil.Process(child)] if psutil.pid_exists(child) else [], timeout=5)
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE


def test_a_process_that_leaves_a_child_behind_on_its_output_does_not_hold_us(tmp_path: Path) -> None:
    code = f"if os.fork() == 0:\n    time.sleep(600)\n    os._exit(0)\n{ENDS_WELL}"
    outcome, _ = run(tmp_path, code, seconds=20)
    assert isinstance(outcome, Refused)


def test_no_secret_and_no_address_reaches_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOWBIT_DATABASE_URL", "LOWBIT_S3_SECRET_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY", "SOME_TOKEN"):
        monkeypatch.setenv(name, "canary")
    run(tmp_path, f"open('environment', 'w').write(str(dict(os.environ)))\n{ENDS_WELL}")
    seen = (tmp_path / "environment").read_text()
    assert "canary" not in seen
    assert "LOWBIT" not in seen


def test_memory_is_limited_when_asked(tmp_path: Path) -> None:
    with pytest.raises(ProcessCrashed):
        run(tmp_path, f"bytearray(2 * 1024**3)\n{ENDS_WELL}", memory_bytes=1024**3)


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    run(tmp_path, ENDS_WELL)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        run(tmp_path, ENDS_WELL)
    assert len(list(Path("/proc/self/fd").iterdir())) == before

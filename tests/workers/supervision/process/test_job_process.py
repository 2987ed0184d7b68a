"""The process is not trusted: whatever it writes, however it ends, the supervisor learns the truth in bounded time."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from pydantic import ValidationError

from tests.workers.supervision.process.scripts import ENDS_WELL, NO_LIMITS, REFUSED, StopNow, both_kinds, left_over, run
from workers.protocol.outcome import OUTCOME, OUTCOME_FILE, Refused
from workers.sandbox.levels import Level
from workers.supervision.abnormal_end import ProcessCrashed
from workers.supervision.interruption import ShuttingDown
from workers.supervision.process import job_process


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


@both_kinds
@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("sys.exit(3)", "exit code 3"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
        ("pass", "no readable outcome"),
        (f"open(sys.argv[1] + '/{OUTCOME_FILE}', 'w').write('{{}}')", "no readable outcome"),
        (f"os.mkdir(sys.argv[1] + '/{OUTCOME_FILE}')", "no readable outcome"),
        (f"os.mkfifo(sys.argv[1] + '/{OUTCOME_FILE}')", "no readable outcome"),
        (f"os.symlink('/dev/zero', sys.argv[1] + '/{OUTCOME_FILE}')", "no readable outcome"),
        (
            f"os.truncate(os.open(sys.argv[1] + '/{OUTCOME_FILE}', os.O_CREAT | os.O_RDWR), 2**40)",
            "no readable outcome",
        ),
        (
            f"open(sys.argv[1] + '/{OUTCOME_FILE}', 'w').write({REFUSED!r}.replace('Cut off', 'x' * 2**20))",
            "no readable outcome",
        ),
        ("os.truncate(2, 2**40); sys.exit(1)", "exit code 1"),
        ("os.unlink('process.log'); os.mkfifo('process.log'); sys.exit(1)", "exit code 1"),
        ("os.kill(os.getpid(), 40)", "signal 40"),
    ],
)
def test_an_end_without_an_outcome_is_a_crash_with_its_cause(
    tmp_path: Path, code: str, words: str, level: Level
) -> None:
    with pytest.raises(ProcessCrashed, match=words):
        run(tmp_path, code, level=level)


@pytest.mark.parametrize(
    "wrong",
    [
        '{"kind": "quantized", "outcome": {"layers": [%s]}}',
        '{"kind": "quantized", "outcome": {"variants": [%s]}}',
        '{"kind": "model_inspected", "inspection": {"classes": [%s]}}',
        '{"kind": "model_inspected", "inspection": {"inputs": [{"shape": [%s]}]}}',
        '{"kind": "dataset_inspected", "inspection": {"preview": [%s]}}',
    ],
)
def test_a_million_mistakes_are_one(wrong: str) -> None:
    """An account of each would take a thousand times the memory of the mistake."""
    with pytest.raises(ValidationError) as found:
        OUTCOME.validate_json(f'{{"ok": {wrong.replace("%s", ",".join(["{}"] * 20_000))}}}')
    assert found.value.error_count() < 100


def test_an_outcome_of_too_many_parts_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifteen million empty objects take 45 MB as text, and more than any machine has as objects."""
    monkeypatch.setattr(job_process, "MAX_OUTCOME_PARTS", 1)  # this one has two: the problem, and its list of errors
    with pytest.raises(ProcessCrashed, match="no readable outcome"):
        run(tmp_path, ENDS_WELL)


def test_a_process_that_closes_its_output_and_goes_on_is_still_stopped(tmp_path: Path) -> None:
    with pytest.raises(StopNow):
        run(tmp_path, "os.close(1)\nopen('closed', 'w').close()\ntime.sleep(600)", stop_at="closed")


def test_being_stopped_takes_the_whole_group_along_even_what_ignores_a_polite_signal(tmp_path: Path) -> None:
    code = """signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0: open('child', 'w').close()
time.sleep(600)"""
    started = time.monotonic()
    with pytest.raises(StopNow):
        run(tmp_path, code, stop_at="child")
    assert time.monotonic() - started < 120  # of the 600 s that it would go on
    assert left_over(tmp_path) == []


def test_a_process_that_leaves_a_child_behind_on_its_output_does_not_hold_us(tmp_path: Path) -> None:
    code = f"if os.fork() == 0:\n    time.sleep(600)\n    os._exit(0)\n{ENDS_WELL}"
    outcome, _ = run(tmp_path, code)
    assert isinstance(outcome, Refused)


def test_no_secret_and_no_address_reaches_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOWBIT_DATABASE_URL", "LOWBIT_S3_SECRET_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY", "SOME_TOKEN"):
        monkeypatch.setenv(name, "canary")
    run(tmp_path, f"open('environment', 'w').write(str(dict(os.environ)))\n{ENDS_WELL}")
    seen = (tmp_path / "environment").read_text()
    assert "canary" not in seen
    assert "LOWBIT" not in seen


@both_kinds
@pytest.mark.parametrize("ending", [ENDS_WELL, "time.sleep(600)"])
def test_what_left_the_group_and_its_parent_is_found_and_ended(tmp_path: Path, ending: str, level: Level) -> None:
    """A daemon: the child of a child that is gone, in a session of its own, deaf to polite signals."""
    code = f"""if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        open(sys.argv[1] + '/daemon', 'w').close()
        time.sleep(600)
    os._exit(0)
while not os.path.exists(sys.argv[1] + '/daemon'): time.sleep(0.01)
time.sleep(0.1)
{ending}"""
    if ending == ENDS_WELL:
        run(tmp_path, code, level=level)
    else:
        with pytest.raises(StopNow):
            run(tmp_path, code, stop_at="daemon", level=level)
    assert (tmp_path / "daemon").exists()
    assert left_over(tmp_path) == []


@both_kinds
def test_a_worker_that_stops_hears_what_its_process_still_has_to_say(tmp_path: Path, level: Level) -> None:
    """The process says a last word when it is asked to stop, and is not killed before."""
    code = """def last_word(*_):
    os.write(1, b'{"event": "stage", "stage": "quantize"}\\n'); sys.exit()
signal.signal(signal.SIGTERM, last_word)
print('{"event": "stage", "stage": "calibrate"}', flush=True)
time.sleep(600)"""
    events: list[Any] = []

    def check() -> None:
        if events:
            raise ShuttingDown

    with pytest.raises(ShuttingDown):
        job_process.run(
            tmp_path,
            on_event=events.append,
            check=check,
            limits=NO_LIMITS,
            level=level,
            command=[sys.executable, "-c", f"import os, signal, sys, time\n{code}"],
        )
    assert [event.stage for event in events] == ["calibrate", "quantize"]


def test_processes_that_were_ours_before_are_left_alone(tmp_path: Path) -> None:
    bystander = subprocess.Popen(["sleep", "600"])
    try:
        run(tmp_path, ENDS_WELL)
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_the_end_of_the_log_comes_with_a_crash_and_names_no_folder_of_ours(tmp_path: Path) -> None:
    code = "sys.stderr.write('first\\n\\x1b[31m/srv/lowbit/secret/model.onnx: cannot\\0 parse\\n'); sys.exit(1)"
    with pytest.raises(ProcessCrashed) as caught:
        run(tmp_path, code)
    assert caught.value.log_tail == ["first", " [31m…/model.onnx: cannot  parse"]


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    run(tmp_path, ENDS_WELL)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        run(tmp_path, ENDS_WELL)
    assert len(list(Path("/proc/self/fd").iterdir())) == before

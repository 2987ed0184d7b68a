"""The process is not trusted: whatever it writes, however it ends, the supervisor learns the truth in bounded time."""

import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from pydantic import ValidationError

from app.contracts.problem import problem
from workers.protocol.outcome import OUTCOME, OUTCOME_FILE, Refused
from workers.sandbox.levels import Level
from workers.supervision.abnormal_end import OutOfMemory, OutOfScratch, ProcessCrashed
from workers.supervision.interruption import ShuttingDown
from workers.supervision.process import job_process, limits
from workers.supervision.process.limits import Limits

REFUSED = Refused(problem=problem("npz_invalid", "Cut off.")).model_dump_json()
ENDS_WELL = f"open(sys.argv[1] + '/{OUTCOME_FILE}', 'w').write({REFUSED!r})"


NO_LIMITS = Limits()

both_kinds = pytest.mark.parametrize("level", [Level.BUBBLEWRAP, Level.LANDLOCK])
"""With bubblewrap a process of its own waits for the job's; at the other levels the first process is the job's."""


class StopNow(Exception):
    pass


def run(
    scratch: Path,
    code: str,
    *,
    stop_at: str | None = None,
    within: Limits = NO_LIMITS,
    level: Level = Level.BUBBLEWRAP,
) -> tuple[Any, list[Any]]:
    """Run a script as the job's process; raises StopNow once there is a file of the name `stop_at`."""
    events: list[Any] = []

    def check() -> None:
        if stop_at is not None and (scratch / stop_at).exists():
            raise StopNow

    outcome = job_process.run(
        scratch,
        on_event=events.append,
        check=check,
        limits=within,
        level=level,
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
    assert _left(tmp_path) == []


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


def test_a_process_that_is_refused_more_address_space_is_out_of_memory(tmp_path: Path) -> None:
    with pytest.raises(OutOfMemory, match="1024 MiB"):
        run(tmp_path, f"bytearray(2 * 1024**3)\n{ENDS_WELL}", within=Limits(address_space_bytes=1024**3))


def test_a_process_that_says_itself_that_memory_ran_out_is_told_the_peak(tmp_path: Path) -> None:
    refused = Refused(problem=problem("out_of_memory", "No more.")).model_dump_json()
    with pytest.raises(OutOfMemory, match=r"used \d+ MiB"):
        run(tmp_path, f"open(sys.argv[1] + '/{OUTCOME_FILE}', 'w').write({refused!r})")


def test_memory_of_all_its_processes_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two times 100 MiB, each below the limit of 150 MiB, and the second one in a session of its own."""
    monkeypatch.setattr(limits, "LOOK_SECONDS", 0.1)
    code = """if os.fork() == 0:
    os.setsid()
hog = os.urandom(1) * (100 * 1024**2)
time.sleep(600)"""
    with pytest.raises(OutOfMemory, match=r"used (1[5-9]|2)\d+ MiB .* limit of 150 MiB"):
        run(tmp_path, code, within=Limits(resident_bytes=150 * 1024**2))
    assert _left(tmp_path) == []


def test_a_job_that_fills_the_scratch_disk_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LOOK_SECONDS", 0.1)
    code = "for n in range(10_000): open(f'{sys.argv[1]}/{n}', 'wb').write(bytes(2**20)); time.sleep(0.01)"
    with pytest.raises(OutOfScratch, match="may use 8388608 bytes"):
        run(tmp_path, code, within=Limits(scratch_bytes=8 * 2**20))


@pytest.mark.parametrize(("bound", "value"), [("LEAST_FREE_BYTES", 2**62), ("MAX_FILES", 50)])
def test_a_disk_that_is_nearly_full_and_too_many_files_stop_a_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str, value: int
) -> None:
    monkeypatch.setattr(limits, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(limits, bound, value)
    with pytest.raises(OutOfScratch):
        run(tmp_path, "for n in range(60): open(f'{n}', 'w').close()\ntime.sleep(600)")


def test_one_file_cannot_grow_past_the_scratch_limit_between_two_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LOOK_SECONDS", 3600.0)  # with all else that lies there, it would be too much
    code = f"""try:
    with open('big', 'wb') as file: file.write(bytes(2**23 + 1))
except OSError:
    {ENDS_WELL}"""
    outcome, _ = run(tmp_path, code, within=Limits(scratch_bytes=2**23))
    assert isinstance(outcome, Refused)
    assert (tmp_path / "big").stat().st_size <= 2**23


def test_scratch_that_lies_too_deep_to_be_counted_stops_a_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LOOK_SECONDS", 0.1)
    with pytest.raises(OutOfScratch, match="more than 64 deep"):
        run(tmp_path, "for _ in range(200): os.mkdir('d'); os.chdir('d')\ntime.sleep(600)")


def test_folders_without_files_are_too_many_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """100,000 of them take two minutes to remove."""
    monkeypatch.setattr(limits, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(limits, "MAX_FILES", 50)
    with pytest.raises(OutOfScratch, match="more than 50 files"):
        run(tmp_path, "for n in range(60): os.mkdir(f'{n}')\ntime.sleep(600)")


@both_kinds
def test_memory_that_belongs_to_no_process_is_not_to_be_had(tmp_path: Path, level: Level) -> None:
    code = f"try: os.memfd_create('hidden')\nexcept PermissionError: {ENDS_WELL}"
    assert isinstance(run(tmp_path, code, level=level)[0], Refused)


@both_kinds
def test_it_is_the_first_to_go_when_memory_runs_out_and_cannot_change_that(tmp_path: Path, level: Level) -> None:
    code = f"""try: open('/proc/self/oom_score_adj', 'w').write('0')
except OSError: pass
open('score', 'w').write(open('/proc/self/oom_score_adj').read())
{ENDS_WELL}"""
    run(tmp_path, code, level=level)
    assert (tmp_path / "score").read_text() == "1000\n"
    assert Path("/proc/self/oom_score_adj").read_text() != "1000\n"


def test_a_log_that_grows_without_end_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(limits, "MAX_LOG_BYTES", 2**20)
    code = """largest = 0
while os.fstat(2).st_size >= largest:  # until it has been cut
    largest = os.fstat(2).st_size
    os.write(2, bytes(2**18))
    time.sleep(0.01)"""
    run(tmp_path, f"{code}\n{ENDS_WELL}")
    assert (tmp_path / job_process.LOG_FILE).stat().st_size < 2**20


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
    assert _left(tmp_path) == []


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


def test_too_many_processes_end_a_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(limits, "MAX_PROCESSES", 20)
    code = "for _ in range(30):\n    if os.fork() == 0: time.sleep(600)\ntime.sleep(600)"
    with pytest.raises(ProcessCrashed, match="more than 20 processes"):
        run(tmp_path, code)
    assert _left(tmp_path) == []


def test_a_storm_of_processes_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of 60 forks on; the storm ends with its first process, and nothing of it is left."""
    monkeypatch.setattr(limits, "MAX_PROCESSES", 2**20)  # it is to be stopped by us
    code = """for _ in range(60):
    if os.fork() == 0:
        os.setsid()
        while True:
            time.sleep(0.2)
            if os.fork() == 0:
                open(f'{os.getpid()}', 'w').close()
                if len(os.listdir()) > 200: open('storm', 'w').close()
                time.sleep(600)
time.sleep(600)"""
    with pytest.raises(StopNow):
        run(tmp_path, code, stop_at="storm")
    assert _left(tmp_path) == []


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


def _left(scratch: Path) -> list[int]:
    """Processes that work in the scratch folder."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()) == scratch:
                found.append(process.pid)
    return found

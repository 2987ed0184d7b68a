"""What a job's processes may use of memory, disk, processes and log, and how they are held to it."""

from pathlib import Path

import pytest

from app.contracts.problem import problem
from tests.workers.supervision.process.scripts import ENDS_WELL, StopNow, both_kinds, left_over, run
from workers.protocol.outcome import OUTCOME_FILE, Refused
from workers.sandbox.levels import Level
from workers.supervision.abnormal_end import OutOfMemory, OutOfScratch, ProcessCrashed
from workers.supervision.process import job_process, limits
from workers.supervision.process.limits import Limits


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
    assert left_over(tmp_path) == []


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


def test_too_many_processes_end_a_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(limits, "MAX_PROCESSES", 20)
    code = "for _ in range(30):\n    if os.fork() == 0: time.sleep(600)\ntime.sleep(600)"
    with pytest.raises(ProcessCrashed, match="more than 20 processes"):
        run(tmp_path, code)
    assert left_over(tmp_path) == []


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
    assert left_over(tmp_path) == []

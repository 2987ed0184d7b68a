"""What the command sees of its sandbox, and what we see of it."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from workers.sandbox import bubblewrap, landlock
from workers.sandbox.enclosure import enclosed, returncode
from workers.sandbox.environment import job_environment
from workers.sandbox.levels import LADDER, Level

every_level = pytest.mark.parametrize("level", LADDER)


def inside(level: Level, scratch: Path, code: str, devices: Sequence[Path] = ()) -> "subprocess.CompletedProcess[str]":
    with enclosed(level, [sys.executable, "-c", code], scratch, devices=devices) as made:
        return subprocess.run(
            made.command, pass_fds=made.descriptors, cwd=scratch, env=job_environment(scratch),
            capture_output=True, text=True, check=False,
        )  # fmt: skip


@every_level
@pytest.mark.parametrize(("code", "expected"), [("exit(3)", 3), ("import os; os.kill(os.getpid(), 11)", -11)])
def test_the_commands_end_is_told(tmp_path: Path, level: Level, code: str, expected: int) -> None:
    assert returncode(level, inside(level, tmp_path, code).returncode) == expected


@pytest.mark.parametrize(
    ("code", "expected"), [(0, 0), (1, 1), (128, 128), (137, -9), (168, -40), (193, 193), (-9, -9)]
)
def test_how_bubblewrap_spells_a_signal(code: int, expected: int) -> None:
    """128 + 9 = 137; the highest signal is 64."""
    assert bubblewrap.returncode(code) == expected


@every_level
def test_the_scratch_folder_is_where_it_was_and_files_are_moved_within_it(tmp_path: Path, level: Level) -> None:
    code = f"""import os, pathlib
assert os.getcwd() == {str(tmp_path)!r}
pathlib.Path("a/b").mkdir(parents=True); pathlib.Path("c").write_text("x"); pathlib.Path("c").rename("a/b/c")
os.truncate("a/b/c", 0); os.symlink("a", "link"); os.mkfifo("pipe"); print(pathlib.Path("a/b/c").exists())"""
    ran = inside(level, tmp_path, code)
    assert (ran.stdout, ran.stderr) == ("True\n", "")
    assert (tmp_path / "a/b/c").exists()


@every_level
def test_what_the_numerics_need_of_the_machine_is_there(tmp_path: Path, level: Level) -> None:
    code = """import os, onnxruntime, safetensors, tokenizers
assert os.cpu_count() and "processor" in open("/proc/cpuinfo").read() and open("/proc/self/status").read()
assert os.urandom(4) and open("/dev/null", "w").write("x")
print(len(os.sched_getaffinity(0)))"""
    ran = inside(level, tmp_path, code)
    assert (ran.stdout, ran.stderr) == (f"{len(os.sched_getaffinity(0))}\n", "")


@every_level
def test_no_file_of_the_scratch_folder_is_taken_for_a_module(tmp_path: Path, level: Level) -> None:
    for name in ("json.py", "sitecustomize.py", "workers.py", "ctypes.py"):
        (tmp_path / name).write_text("print('taken')")
    assert inside(level, tmp_path, "import json, ctypes, workers").stdout == ""


@pytest.mark.parametrize("level", [Level.NAMESPACES, Level.LANDLOCK])
def test_a_device_is_there_when_it_is_named_and_only_then(tmp_path: Path, level: Level) -> None:
    """The multiplexer of terminals stands in for the nodes of a GPU: every machine has it."""
    code = "import os; os.close(os.open('/dev/ptmx', os.O_RDWR | os.O_NOCTTY)); print('opened')"
    assert inside(level, tmp_path, code, devices=(Path("/dev/ptmx"),)).stdout == "opened\n"
    assert "PermissionError" in inside(level, tmp_path, code).stderr


def test_with_bubblewrap_a_device_comes_with_what_the_driver_tells_about_it(tmp_path: Path) -> None:
    given = " ".join(bubblewrap.arguments(tmp_path, devices=(Path("/dev/nvidia0"),)))
    assert "--dev-bind /dev/nvidia0 /dev/nvidia0" in given
    assert "--ro-bind-try /sys /sys" in given
    assert "/sys /sys" not in " ".join(bubblewrap.arguments(tmp_path))


@contextmanager
def sleeping(level: Level, scratch: Path) -> Iterator[psutil.Process]:
    """A parent whose child sleeps in the sandbox."""
    code = f"""import subprocess, sys; from pathlib import Path
from workers.sandbox.enclosure import enclosed; from workers.sandbox.levels import Level
from app.die_with_parent import die_with_parent
with enclosed(Level({str(level)!r}), ["/bin/sleep", "600"], Path({str(scratch)!r})) as made:
    subprocess.Popen(made.command, pass_fds=made.descriptors, cwd={str(scratch)!r}, preexec_fn=die_with_parent(9))
    print(flush=True); sys.stdin.read()"""
    parent = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    parent.stdout.readline()
    yield psutil.Process(parent.pid)
    parent.kill()
    parent.communicate()


@every_level
def test_it_dies_with_its_parent_however_that_dies(tmp_path: Path, level: Level) -> None:
    """Giving up rights undoes the request to the kernel that was made before; it has to be made again."""
    with sleeping(level, tmp_path) as parent:
        asleep = _until(lambda: [p for p in parent.children(recursive=True) if p.name() == "sleep"])
        time.sleep(0.05)
        below = parent.children(recursive=True)
        parent.kill()
        _, alive = psutil.wait_procs(below, timeout=60)
    assert asleep
    assert alive == []


def test_a_missing_bubblewrap_is_named_with_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="apt-get install bubblewrap"):
        inside(Level.BUBBLEWRAP, tmp_path, "")


def test_a_launcher_that_cannot_confine_runs_nothing(tmp_path: Path) -> None:
    code = (
        "from workers.sandbox import launch\n"
        "launch.main(['--write', '/', '--filter', '999', '--', '/bin/sh', '-c', 'echo ran'])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (125, "")
    assert ran.stderr == "the sandbox could not be made: Bad file descriptor\n"


@pytest.mark.parametrize(
    ("version", "rights"), [(0, 0), (1, 0x1FFF), (2, 0x3FFF), (3, 0x7FFF), (4, 0x7FFF), (7, 0xFFFF)]
)
def test_each_version_of_landlock_is_asked_for_the_rights_that_it_knows(version: int, rights: int) -> None:
    """13 rights at first, then LANDLOCK_ACCESS_FS_REFER, _TRUNCATE and _IOCTL_DEV."""
    assert landlock.file_rights(version) == rights


def _until(found: Callable[[], list[psutil.Process]]) -> list[psutil.Process]:
    deadline = time.monotonic() + 60
    while not (seen := found()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return seen

"""Programs that mean harm, run as the job's process, against real listeners, files and processes: nothing gets out."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.contracts.problem import problem
from tests.workers.sandbox.unprivileged import output_as_nobody
from workers.protocol.outcome import OUTCOME_FILE, Refused
from workers.sandbox.levels import LADDER, Level
from workers.sandbox.outside import Outside, outside
from workers.supervision.process import job_process
from workers.supervision.process.limits import Limits

REFUSED = Refused(problem=problem("onnx_invalid", "Bad.")).model_dump_json()

ROBBERY = """
import os, pathlib, signal, socket, subprocess, sys
scratch, secret_file, parent, outsider, port, datagram_port, abstract, path = sys.argv[-1], *sys.argv[1:-1]

def loot(what): open(f"{scratch}/loot", "a").write(f"{what}\\n")

def attempt(what):
    def decorate(function):
        try: result = function()
        except Exception: return
        if result is not False: loot(what)
    return decorate

@attempt("secret")
def _(): return open(secret_file).read()
@attempt("secret by cat")
def _(): return subprocess.run(["cat", secret_file], capture_output=True).returncode == 0
@attempt("secret by link")
def _(): os.link(secret_file, f"{scratch}/link"); return open(f"{scratch}/link").read()
@attempt("neighbours")
def _(): return bool(os.listdir(os.path.dirname(secret_file)))
@attempt("parent's environment")
def _(): return os.getppid() not in (0, 1) and open(f"/proc/{parent}/environ", "rb").read()
@attempt("parent's files")
def _(): return os.listdir(f"/proc/{parent}/fd")
@attempt("parent killed")
def _(): os.kill(int(parent), signal.SIGUSR1)
@attempt("all killed")
def _(): os.kill(int(outsider), signal.SIGKILL)
@attempt("writing")
def _(): open(secret_file, "a").write("x")
@attempt("writing beside")
def _(): open(f"{os.path.dirname(secret_file)}/new", "w").close()
@attempt("removing")
def _(): os.unlink(secret_file)
@attempt("writing packages")
def _(): (made := pathlib.Path(os.__file__).with_name("evil.py")).write_text(""); made.unlink()
@attempt("writing our source")
def _(): import workers; (made := pathlib.Path(workers.__file__).with_name("evil.py")).write_text(""); made.unlink()
@attempt("tcp")
def _(): socket.create_connection(("127.0.0.1", int(port)), 2)
@attempt("tcp by another program")
def _(): return subprocess.run(["bash", "-c", f"echo > /dev/tcp/127.0.0.1/{port}"], capture_output=True).returncode == 0
@attempt("udp")
def _(): socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", int(datagram_port)))
@attempt("abstract socket")
def _(): socket.socket(socket.AF_UNIX).connect("\\0" + abstract)
@attempt("socket file")
def _(): socket.socket(socket.AF_UNIX).connect(path)
@attempt("listening")
def _(): socket.socket(socket.AF_INET).bind(("0.0.0.0", 0))
"""
ENDING = f"open(scratch + '/{OUTCOME_FILE}', 'w').write({REFUSED!r})"

ALONE = """
import sys
from pathlib import Path
from workers.sandbox.levels import LADDER
from workers.sandbox.proof import prove
from workers.supervision.abnormal_end import AbnormalEnd
from workers.supervision.process import job_process
from workers.supervision.process.limits import Limits

for level in LADDER:
    (folder := Path(level)).mkdir()
    proof = prove(level, folder.absolute())
    print(level, proof.holds, proof.reason)
    for number, code in enumerate(["sys.exit(3)", "os.kill(os.getpid(), 9)", "open('outcome.json', 'w').write('{}')"]):
        (scratch := (folder / str(number)).absolute()).mkdir()
        try:
            job_process.run(scratch, command=[sys.executable, "-c", f"import os, sys; {code}"], level=level,
                            limits=Limits(), on_event=print, check=lambda: None)
        except AbnormalEnd as end:
            print(end)
"""


@pytest.fixture
def around(tmp_path: Path) -> Iterator[Outside]:
    with outside(tmp_path / "outside") as made:
        yield made


@pytest.fixture
def signals(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Those that this process, the parent, was sent."""
    heard: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: heard.append(number))
    yield heard
    signal.signal(signal.SIGUSR1, before)


def rob(tmp_path: Path, around: Outside, level: Level) -> list[str]:
    """What the program says that it got."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    told = around.told
    facts = [told.file, os.getpid(), told.outsider, told.tcp_port, told.udp_port, told.abstract_name, told.socket_path]
    job_process.run(
        scratch,
        command=[sys.executable, "-c", f"{ROBBERY}\n{ENDING}", *map(str, facts)],
        level=level,
        limits=Limits(),
        on_event=lambda _: None,
        check=lambda: None,
    )
    loot = scratch / "loot"
    return loot.read_text().splitlines() if loot.exists() else []


@pytest.mark.parametrize("level", LADDER)
def test_nothing_is_read_written_reached_or_killed(
    tmp_path: Path, around: Outside, signals: list[int], level: Level
) -> None:
    assert rob(tmp_path, around, level) == []
    assert around.traces() == {}
    assert signals == []
    assert Path(f"/proc/{around.told.outsider}/environ").read_bytes()  # the process lives


def test_without_a_sandbox_the_same_program_gets_it_all(
    tmp_path: Path, around: Outside, signals: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    loot = rob(tmp_path, around, Level.NONE)
    assert {"secret", "parent's environment", "parent killed", "all killed", "tcp", "udp", "socket file"} <= set(loot)
    assert {"tcp", "udp", "abstract_socket", "unix_socket"} <= around.traces().keys()
    assert signals == [signal.SIGUSR1]


def test_an_ordinary_user_has_the_same_levels_and_hears_the_same_ends() -> None:
    lines = output_as_nobody(ALONE).splitlines()
    assert [line for line in lines if line.endswith("True ") or "False" in line] == [
        f"{level} True " for level in LADDER
    ]
    told = [line for line in lines if line.startswith("The job's process died")]
    assert told == [
        "The job's process died: it ended with exit code 3.",
        "The job's process died: it was ended by SIGKILL.",
        "The job's process died: it left no readable outcome.",
    ] * len(LADDER)

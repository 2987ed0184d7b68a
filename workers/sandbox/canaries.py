"""`python -m workers.sandbox.canaries`: tries, from inside, what must not work and what must. Run by `proof` only.

It is told in `canaries.json`, in its working folder, where the prover has put things to find, and prints what became of
each try. Whatever raises was refused; a try that returns a sentence got somewhere. What shows itself outside only (a
datagram that arrived, a mode that changed) is for the prover to see.
"""

import ctypes
import importlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

TOLD_FILE = "canaries.json"
PTRACE_SEIZE, CLONE_NEWUSER, MS_BIND, MNT_DETACH = 0x4206, 0x1000_0000, 4096, 2
PR_GET_NO_NEW_PRIVS = 39

_libc = ctypes.CDLL(None, use_errno=True)


class Told(NamedTuple):
    secret: str
    """It is in a file, and in a process's environment, outside."""
    file: str
    tcp_port: int
    udp_port: int
    abstract_name: str
    socket_path: str
    outsider: int
    network: str
    processes: str
    """The names of the namespaces outside."""


def main() -> None:
    told = Told(**json.loads(Path(TOLD_FILE).read_text()))
    reached = {name: _attempted(attempt, told) for name, attempt in DENIED.items()}
    works = {name: _failure(attempt) for name, attempt in ALLOWED.items()}
    print(json.dumps({"reached": reached, "works": works}))  # noqa: T201  how the prover hears of it


def _attempted(attempt: Callable[[Told], str | None], told: Told) -> str | None:
    """What was reached; None if nothing was."""
    try:
        return attempt(told)
    except (OSError, ValueError, AttributeError):
        return None


def _failure(attempt: Callable[[], None]) -> str | None:
    try:
        attempt()
    except Exception as error:  # noqa: BLE001  any means that a job could not do it either
        return f"{type(error).__name__}: {error}"
    return None


# --- what must not work


def read_file(told: Told) -> str | None:
    return f"read {told.file}" if told.secret in Path(told.file).read_text() else None


def list_folder(told: Told) -> str:
    return f"found {len(list(Path(told.file).parent.iterdir()))} names outside"


def write_file(told: Told) -> str:
    with Path(told.file).open("r+") as file:
        file.write("x")
    return f"wrote to {told.file}"


def truncate_file(told: Told) -> str:
    os.truncate(told.file, 0)
    return f"cut {told.file}"


def make_file(told: Told) -> str:
    Path(told.file).with_name("made").write_text("x")
    return "made a file outside"


def make_file_at_root(told: Told) -> str:
    made = Path(f"/lowbit-canary-{told.secret}")
    made.write_text("x")
    made.unlink()
    return "made a file in /"


def change_mode(told: Told) -> None:
    Path(told.file).chmod(0o666)  # it may seem to work: the prover looks


def kernel_setting(_: Told) -> str:
    os.close(os.open("/proc/sys/kernel/core_pattern", os.O_WRONLY))
    return "could change a setting of the kernel"


def own_environment(told: Told) -> str | None:
    found = [name for name, value in os.environ.items() if name.startswith("LOWBIT_") or told.secret in value]
    return f"was given {', '.join(found)}" if found else None


def others_environment(told: Told) -> str | None:
    for entry in Path("/proc").iterdir():
        try:
            if told.secret.encode() in (entry / "environ").read_bytes():
                return "read the environment of a process outside"
        except OSError:
            continue
    return None


def others_memory(told: Told) -> str | None:
    if _has_own(told.processes, "pid"):
        return None
    os.close(os.open(f"/proc/{told.outsider}/mem", os.O_RDONLY))
    return "opened the memory of a process outside"


def tcp(told: Told) -> str:
    with socket.create_connection(("127.0.0.1", told.tcp_port), timeout=2):
        return "connected by TCP"


def udp(told: Told) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(told.secret.encode(), ("127.0.0.1", told.udp_port))


def unix_socket(told: Told) -> str:
    return _unix(told.socket_path)


def abstract_socket(told: Told) -> str:
    return _unix(f"\0{told.abstract_name}")


def datagram_pair(_: Told) -> str:
    """A datagram socket of a pair may be sent from to any address."""
    for end in socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM):
        end.close()
    return "was given a datagram socket"


def signal_outside(told: Told) -> str | None:
    if _has_own(told.processes, "pid"):  # there the number is nobody's, or one of its own
        return None
    os.kill(told.outsider, signal.SIGCONT)
    return "signalled a process outside"


def limit_outside(told: Told) -> str | None:
    if _has_own(told.processes, "pid"):
        return None
    resource.prlimit(told.outsider, resource.RLIMIT_CORE, (0, 0))
    return "changed a limit of a process outside"


def trace(told: Told) -> str:
    _called(_libc.ptrace(PTRACE_SEIZE, told.outsider, None, None))
    return "traced a process outside"


def mount(_: Told) -> str:
    _called(_libc.mount(b".", b".", None, ctypes.c_ulong(MS_BIND), None))
    _called(_libc.umount2(b".", MNT_DETACH))
    return "mounted something"


def new_namespace(_: Told) -> str:
    _called(_libc.unshare(CLONE_NEWUSER))
    return "made a namespace"


def new_privileges(_: Told) -> str | None:
    if _libc.prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1:
        return "may gain privileges"
    status = Path("/proc/self/status").read_text().splitlines()
    held = [line for line in status if line.startswith(("CapPrm", "CapEff", "CapAmb")) and int(line.split()[1], 16)]
    return f"has capabilities: {held[0]}" if held else None


def shared_network(told: Told) -> str | None:
    return None if _has_own(told.network, "net") else "is in the network of the others"


def shared_processes(told: Told) -> str | None:
    return None if _has_own(told.processes, "pid") else "is among the processes of the others"


DENIED: dict[str, Callable[[Told], str | None]] = {
    attempt.__name__: attempt
    for attempt in (
        read_file, list_folder, write_file, truncate_file, make_file, make_file_at_root, change_mode, kernel_setting,
        own_environment, others_environment, others_memory, tcp, udp, unix_socket, abstract_socket, datagram_pair,
        signal_outside, limit_outside, trace, mount, new_namespace, new_privileges, shared_network, shared_processes,
    )
}  # fmt: skip


# --- what must work


def scratch() -> None:
    Path("folder").mkdir()
    Path("folder/written").write_text("x")
    Path("folder/written").replace("moved")
    assert Path("moved").read_text() == "x"


def packages() -> None:
    numpy = importlib.import_module("numpy")  # by name: this package is told to import nothing heavy
    assert numpy.ones((64, 64)).dot(numpy.ones((64, 64)))[0, 0] == 64.0


def threads() -> None:
    done: list[int] = []
    started = [threading.Thread(target=done.append, args=(n,)) for n in range(8)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    assert len(done) == 8


def child_processes() -> None:
    subprocess.run([sys.executable, "-I", "-S", "-c", ""], check=True)


ALLOWED: dict[str, Callable[[], None]] = {
    attempt.__name__: attempt for attempt in (scratch, packages, threads, child_processes)
}


def _unix(address: str) -> str:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.connect(address)
    return "connected to a server on this machine"


def _has_own(outside: str, kind: str) -> bool:
    return os.readlink(f"/proc/self/ns/{kind}") != outside  # noqa: PTH115  it is a name and no path


def _called(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")


if __name__ == "__main__":
    main()

"""What `proof` puts outside the sandbox for the canaries to find: real listeners, a real file, a real process."""

import json
import os
import secrets
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from workers.sandbox.canaries import Told

_FILE_MODE = 0o644


@dataclass(frozen=True)
class Outside:
    told: Told
    listeners: dict[str, socket.socket]

    def traces(self) -> dict[str, str]:
        """What was reached, as it shows outside: the canaries themselves may have been told that it failed."""
        found = {name: "it arrived outside" for name, listener in self.listeners.items() if _was_reached(listener)}
        file = Path(self.told.file)
        if not file.exists():
            return {**found, "write_file": "the file outside is gone"}
        if file.read_text() != self.told.secret:
            found["write_file"] = "the file outside has changed"
        if file.stat().st_mode & 0o777 != _FILE_MODE:
            found["change_mode"] = "the mode of the file outside has changed"
        if sorted(path.name for path in file.parent.iterdir()) != [file.name]:
            found["make_file"] = "there is a new file outside"
        return found


@contextmanager
def outside(folder: Path) -> Iterator[Outside]:
    """Everything lies in `folder`, but for a socket: the name of one must be short."""
    with ExitStack() as stack:
        secret = secrets.token_hex(16)
        file = _file(folder, secret)
        sockets = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lowbit-")))
        tcp = _listener(stack, socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))
        udp = _listener(stack, socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0))
        path = _listener(stack, socket.AF_UNIX, socket.SOCK_STREAM, str(sockets / "socket"))
        abstract = _listener(stack, socket.AF_UNIX, socket.SOCK_STREAM, f"\0lowbit-{secret}")
        told = Told(
            secret=secret,
            file=str(file),
            tcp_port=tcp.getsockname()[1],
            udp_port=udp.getsockname()[1],
            abstract_name=f"lowbit-{secret}",
            socket_path=path.getsockname(),
            outsider=_process(stack, secret),
            network=os.readlink("/proc/self/ns/net"),  # noqa: PTH115  they are names and no paths
            processes=os.readlink("/proc/self/ns/pid"),  # noqa: PTH115
        )
        yield Outside(told, {"tcp": tcp, "udp": udp, "unix_socket": path, "abstract_socket": abstract})


def as_json(told: Told) -> str:
    return json.dumps(told._asdict())


def _file(folder: Path, secret: str) -> Path:
    folder.mkdir(mode=0o755)
    file = folder / "canary"
    file.write_text(secret)
    file.chmod(_FILE_MODE)
    return file


def _listener(stack: ExitStack, family: int, kind: int, address: str | tuple[str, int]) -> socket.socket:
    made = stack.enter_context(socket.socket(family, kind))
    made.bind(address)
    if kind == socket.SOCK_STREAM:
        made.listen()
    made.settimeout(0)
    return made


def _process(stack: ExitStack, secret: str) -> int:
    """A process with the secret in its environment. It ends when its input does."""
    command = ["/bin/sh", "-c", "read line"]
    process = stack.enter_context(
        subprocess.Popen(command, stdin=subprocess.PIPE, env={"CANARY": secret}, start_new_session=True)
    )
    stack.callback(process.kill)
    return process.pid


def _was_reached(listener: socket.socket) -> bool:
    try:
        if listener.type == socket.SOCK_DGRAM:
            return bool(listener.recv(64))
        listener.accept()[0].close()
    except BlockingIOError:
        return False
    return True

"""The whole service for tests: a real `lowbit serve` in a process of its own, spoken to over HTTP."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import psutil

from tests.servers.folders import short_folder

START_SECONDS = 280.0
STOP_SECONDS = 120.0

QUICK = {
    "LOWBIT_LEASE_SECONDS": "30",
    "LOWBIT_QUERY_SECONDS": "30",
    "LOWBIT_REAP_SECONDS": "0.5",
    "LOWBIT_DISPATCH_SECONDS": "0.2",
    "LOWBIT_MAX_UPLOAD_BYTES": str(64 * 1024**2),
    "LOWBIT_ALLOW_TORCH_EXPORT": "true",
}
"""Quick to see what is new, patient with a machine that is busy; and every format is taken."""

LEASE_SECONDS = 12.0
SHORT_LEASES = {"LOWBIT_LEASE_SECONDS": str(LEASE_SECONDS)}
"""Short enough that a test can wait for one to run out."""


@dataclass
class Service:
    """One running service and how to speak to it."""

    data_dir: Path
    process: subprocess.Popen[bytes]
    url: str
    key: str

    def client(self, *, key: str | None = None) -> httpx2.Client:
        headers = {"Authorization": f"Bearer {self.key if key is None else key}"}
        # loading certificates takes longer than many a test, and none is needed here
        return httpx2.Client(base_url=self.url, headers=headers, timeout=180.0, verify=False)

    def environment(self) -> dict[str, str]:
        """For commands that should talk to this service."""
        return {**os.environ, "LOWBIT_URL": self.url, "LOWBIT_TOKEN": self.key}

    def processes(self) -> list[psutil.Process]:
        """The tree below `lowbit serve`."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def log(self, name: str) -> str:
        return (self.data_dir / "logs" / f"{name}.log").read_text()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(STOP_SECONDS)


@contextmanager
def running_service(data_dir: Path | None = None, environment: Mapping[str, str] | None = None) -> Iterator[Service]:
    """Start a service, in a folder of its own unless one is given, and stop it at the end."""
    if data_dir is None:
        with short_folder() as folder, running_service(folder, environment) as service:
            yield service
        return
    service = start_service(data_dir, environment)
    try:
        yield service
    finally:
        service.stop()


def start_service(data_dir: Path, environment: Mapping[str, str] | None = None) -> Service:
    words = data_dir / "serve.err"
    with words.open("ab") as stderr:
        process = subprocess.Popen(
            serve_command(data_dir),
            env={**os.environ, **QUICK, "XDG_STATE_HOME": str(data_dir / "state"), **(environment or {})},
            stdin=subprocess.DEVNULL,
            stderr=stderr,
        )
    note = _wait_for_note(data_dir, process)
    return Service(data_dir, process, note["url"], Path(note["key_file"]).read_text().strip())


def serve_command(data_dir: Path) -> list[str]:
    return [str(Path(sys.executable).with_name("lowbit")), "serve", "--data-dir", str(data_dir), "--port", "0"]


def _wait_for_note(data_dir: Path, process: subprocess.Popen[bytes]) -> dict[str, Any]:
    deadline = time.monotonic() + START_SECONDS
    path = data_dir / "service.json"
    while time.monotonic() < deadline:
        if path.exists():
            note: dict[str, Any] = json.loads(path.read_text())
            if note["pid"] == process.pid:
                return note
        if process.poll() is not None:
            words = (data_dir / "serve.err").read_text()
            raise AssertionError(f"lowbit serve ended early: {words}")
        time.sleep(0.1)
    process.kill()
    raise AssertionError("lowbit serve did not become ready")

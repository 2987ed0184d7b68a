"""A `lowbit serve` of its own, in a folder of its own, with its API process and its database in reach."""

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

import psutil
from lowbit import Client

START_SECONDS = 90.0


@dataclass(frozen=True)
class Embedded:
    url: str
    key: str
    process: psutil.Process

    def client(self) -> Client:
        return Client(self.url, self.key, timeout=120.0)

    def api(self) -> psutil.Process:
        return next(p for p in self.process.children(recursive=True) if "app.serve.api" in p.cmdline())

    def database_url(self) -> str:
        """As the service's own processes know it."""
        return str(self.api().environ()["LOWBIT_DATABASE_URL"])

    def pin(self, *, api_core: int, others_core: int) -> None:
        """Give the API a core of its own; the database, the broker and the workers share the other."""
        api = self.api().pid
        for process in (self.process, *self.process.children(recursive=True)):
            for thread in process.threads():
                os.sched_setaffinity(thread.id, {api_core if process.pid == api else others_core})


@contextmanager
def embedded(
    folder: Path, environment: Mapping[str, str] | None = None, *, checkout: Path | None = None
) -> Iterator[Embedded]:
    """Started with default settings but for `environment`; stopped at the end. `checkout`: another's code than this."""
    folder.mkdir(parents=True, exist_ok=True)
    python = Path(sys.executable) if checkout is None else checkout / ".venv" / "bin" / "python"
    with (folder / "serve.err").open("wb") as words:
        process = subprocess.Popen(
            # not by the script's own first line: in a copied checkout it names the Python of the original
            [str(python), str(python.with_name("lowbit")), "serve", "--data-dir", str(folder), "--port", "0"],
            cwd=checkout,  # which `python -m` of its processes puts before what is installed
            env={**os.environ, "XDG_STATE_HOME": str(folder / "state"), **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=words,
        )
    try:
        note = _note(folder / "service.json", process)
        yield Embedded(note["url"], Path(note["key_file"]).read_text().strip(), psutil.Process(process.pid))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _note(path: Path, process: subprocess.Popen[bytes]) -> dict[str, str]:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if path.exists():
            found: dict[str, str] = json.loads(path.read_text())
            return found
        time.sleep(0.1)
    said = (path.parent / "serve.err").read_text(errors="replace")
    raise RuntimeError(f"lowbit serve did not become ready; it said: {said[-2000:]}")

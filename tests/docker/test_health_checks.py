"""The containers' health checks, against a real HTTP server and a real worker on a real broker."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from app.serve.data_directory import DataDirectory
from app.serve.server_user import server_identity
from app.serve.valkey import PrivateValkey
from tests.docker.compose import ROOT
from tests.servers.folders import short_folder

WORKER_STARTS_WITHIN_SECONDS = 240


def check(script: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, ROOT / "docker" / script],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/healthz" else 503)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def answering() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield str(server.server_port)
        server.shutdown()
        thread.join()


def test_an_api_that_answers_is_healthy() -> None:
    with answering() as port:
        assert check("api_health.py", LOWBIT_PORT=port).returncode == 0


def test_an_api_that_is_away_is_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
    answer = check("api_health.py", LOWBIT_PORT=port)
    assert answer.returncode == 1
    assert "Connection refused" in answer.stderr


def test_with_a_certificate_the_api_is_asked_over_tls() -> None:
    with answering() as port:
        answer = check("api_health.py", LOWBIT_PORT=port, LOWBIT_TLS_CERT="/some/cert.pem")
    assert answer.returncode == 1, "the server speaks no TLS"
    assert answer.stderr.startswith("https://")


@pytest.fixture(scope="module")
def worker_settings() -> Iterator[dict[str, str]]:
    """The settings of a worker whose broker runs. Its database is never asked: there is no message."""
    identity = server_identity(None)
    with short_folder() as folder:
        data = DataDirectory(folder)
        data.prepare(identity)
        valkey = PrivateValkey(data, data.valkey, identity)
        child = valkey.child()
        child.start()
        valkey.wait_until_ready(child)
        yield {
            "LOWBIT_BROKER_URL": valkey.url(),
            "LOWBIT_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing",
            "LOWBIT_STORAGE_URL": f"file://{data.objects}",
            "LOWBIT_SCRATCH_DIR": str(data.scratch),
        }
        child.stop()


def test_a_worker_is_healthy_while_it_answers_and_not_once_it_stopped(worker_settings: dict[str, str]) -> None:
    assert check("worker_health.py", **worker_settings).returncode == 1, "there is no worker yet"
    lowbit = Path(sys.executable).with_name("lowbit")
    log = Path(worker_settings["LOWBIT_SCRATCH_DIR"]).parent / "worker.log"
    with log.open("wb") as output:
        command = [str(lowbit), "worker", "--queues", "inspect"]
        worker = subprocess.Popen(command, env={**os.environ, **worker_settings}, stdout=output, stderr=output)
        try:
            wait_until_ready(log)
            answer = check("worker_health.py", **worker_settings)
            assert answer.returncode == 0, answer.stderr
        finally:
            worker.terminate()
            worker.wait(60)
    answer = check("worker_health.py", **worker_settings)
    assert answer.returncode == 1
    assert f"no answer from {socket.gethostname()}, only from []" in answer.stderr


def wait_until_ready(log: Path) -> None:
    deadline = time.monotonic() + WORKER_STARTS_WITHIN_SECONDS
    while "ready" not in log.read_text():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)

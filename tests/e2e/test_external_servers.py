"""The same code on servers of somebody else's: Postgres, Valkey and S3 that are named by the environment.

Started as a fleet is: migration, API and worker, each a process of its own that shares nothing but these servers.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx2
import psutil
import pytest

from app.auth.keys import generate
from tests.e2e import tiny
from tests.e2e.conversation import finished, job_body
from tests.servers.folders import short_folder
from tests.servers.postgres import Database
from tests.servers.processes import kill
from tests.servers.seaweedfs import S3Address, free_ports
from tests.servers.service import QUICK, SHORT_LEASES, running_service
from tests.servers.valkey import running_valkey

LOWBIT = str(Path(sys.executable).with_name("lowbit"))


@pytest.fixture(scope="module")
def s3(seaweedfs: S3Address) -> S3Address:
    return seaweedfs


@pytest.fixture(scope="module")
def environment(postgres: Database, s3: S3Address) -> Iterator[dict[str, str]]:
    """What every process of a fleet is told."""
    database = postgres.another()  # the workers would do what other tests have left, and an API of theirs reap
    with running_valkey() as broker:
        yield {
            **QUICK,
            **SHORT_LEASES,
            "LOWBIT_DATABASE_URL": database.url,
            "LOWBIT_DATABASE_OWNER_URL": database.owner_url,
            "LOWBIT_BROKER_URL": broker,
            "LOWBIT_STORAGE_URL": f"s3://fleet/here?endpoint_url={s3.endpoint_url}&region=us-east-1&create_bucket=true",
            "LOWBIT_S3_ACCESS_KEY_ID": s3.access_key,
            "LOWBIT_S3_SECRET_ACCESS_KEY": s3.secret_key,
        }


@contextmanager
def _process(
    command: list[str], environment: dict[str, str], log: Path, *, ends_with: int = 0
) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=output, stderr=output)
    try:
        yield process
    finally:
        process.terminate()
        assert process.wait(180) == ends_with, log.read_text()


def _until(condition: Callable[[], bool], seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _objects(s3: S3Address) -> list[str]:
    client = s3.client()
    try:
        return [found["Key"] for found in client.list_objects_v2(Bucket="fleet").get("Contents", [])]
    finally:
        client.close()


def _answers(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/healthz").status_code == 200
    except httpx2.TransportError:
        return False


class Fleet(NamedTuple):
    """Processes that share nothing but the three servers: each has its own home, scratch folder and session."""

    url: str
    key: str
    environment: dict[str, str]
    folder: Path

    def client(self) -> httpx2.Client:
        return httpx2.Client(base_url=self.url, headers={"Authorization": f"Bearer {self.key}"}, timeout=180)

    @contextmanager
    def worker(self, name: str, *, ends_with: int = 0) -> Iterator[subprocess.Popen[bytes]]:
        home = self.folder / name
        home.mkdir()
        told = {**self.environment, "HOME": str(home), "LOWBIT_SCRATCH_DIR": str(home / "scratch")}
        with _process([LOWBIT, "worker", "--queues", "inspect,cpu"], told, self._log(name), ends_with=ends_with) as p:
            yield p

    def claimed_by(self, name: str) -> set[str]:
        """Ids of the jobs that a worker has claimed, from its log."""
        lines = (json.loads(line) for line in self._log(name).read_text().splitlines() if line.startswith("{"))
        return {line["job_id"] for line in lines if line["event"] == "claimed" and line["kind"] == "quantize"}

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"


@pytest.fixture(scope="module")
def fleet(environment: dict[str, str]) -> Iterator[Fleet]:
    key = generate().text()
    for _ in range(2):  # a second run changes nothing
        migrated = subprocess.run(
            [sys.executable, "-m", "app.serve.migrate"],
            env={**os.environ, **environment, "LOWBIT_ADMIN_KEY": key},
            capture_output=True,
            text=True,
            check=False,
        )
        assert migrated.returncode == 0, migrated.stderr
    told = {name: value for name, value in environment.items() if name != "LOWBIT_DATABASE_OWNER_URL"}
    port = str(free_ports(1)[0])
    with short_folder() as folder:
        api = {**told, "LOWBIT_PORT": port, "LOWBIT_SCRATCH_DIR": str(folder / "api")}
        command = [sys.executable, "-m", "app.serve.api"]
        with _process(command, api, folder / "api.log", ends_with=-signal.SIGTERM):  # uvicorn passes the signal on
            url = f"http://127.0.0.1:{port}"
            _until(lambda: _answers(url))
            yield Fleet(url, key, told, folder)


def test_a_fleet_of_separate_processes_does_a_job(fleet: Fleet, s3: S3Address) -> None:
    with fleet.worker("single"), fleet.client() as http:
        _until(lambda: httpx2.get(f"{fleet.url}/readyz").status_code == 200)
        job = finished(http, http.post("/v1/jobs", json=job_body(http, recipe={"preset": "int8-fast"})).json()["id"])
        assert job["status"] == "succeeded", job
        artifact = http.get(job["links"]["artifacts"]).json()["data"][0]
        assert len(http.get(artifact["links"]["content"]).content) == artifact["bytes"]
        part = http.get(artifact["links"]["content"], headers={"Range": "bytes=5-9"})
        assert (part.status_code, len(part.content)) == (206, 5)
    stored = _objects(s3)
    assert any(name.endswith(artifact["sha256"]) for name in stored)
    assert all(name.startswith("here/t/tnt_") for name in stored)


def test_two_machines_share_the_work_and_one_takes_over_from_the_other(fleet: Fleet) -> None:
    long = {"batch_sizes": [1, 2, 4, 8], "duration_s": 60.0}  # four minutes: nobody waits for its end
    with fleet.client() as http, fleet.worker("second"), ExitStack() as stack:
        body = job_body(http, recipe={"preset": "int8-fast"}, benchmark=long)
        first = stack.enter_context(fleet.worker("first", ends_with=-signal.SIGKILL))
        jobs = [http.post("/v1/jobs", json=body).json()["id"] for _ in range(2)]
        _until(lambda: all(http.get(f"/v1/jobs/{i}").json()["stage"] == "benchmark" for i in jobs))
        (lost,), (kept,) = fleet.claimed_by("first"), fleet.claimed_by("second")
        assert {lost, kept} == set(jobs)
        http.post(f"/v1/jobs/{kept}/cancel")  # the second machine has a slot again
        _kill_tree(first)
        _until(lambda: lost in fleet.claimed_by("second"))
        assert http.get(f"/v1/jobs/{lost}").json()["attempt"] == 2
        http.post(f"/v1/jobs/{lost}/cancel")
        assert finished(http, lost)["status"] == "cancelled"


def _kill_tree(process: subprocess.Popen[bytes]) -> None:
    """As if the machine had lost its power."""
    tree = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    kill(tree)
    process.wait(60)  # first, or psutil would take its exit status from us
    psutil.wait_procs(tree, timeout=60)


def test_serve_uses_external_servers_and_starts_none_of_its_own(environment: dict[str, str]) -> None:
    with running_service(environment=environment) as service, service.client() as http:
        names = {process.name() for process in service.processes()}
        assert not names & {"postgres", "valkey-server"}
        assert not (service.data_dir / "postgres").exists()
        uploaded = http.post("/v1/files?purpose=model", content=tiny.model_bytes())
        assert uploaded.status_code == 201
        parts = {"database": True, "broker": True, "storage": True}
        assert parts.items() <= http.get("/readyz").json().items()


def test_a_worker_without_its_addresses_names_the_one_that_is_missing(environment: dict[str, str]) -> None:
    for missing in ("LOWBIT_DATABASE_URL", "LOWBIT_BROKER_URL", "LOWBIT_STORAGE_URL", "LOWBIT_SCRATCH_DIR"):
        given = {**environment, "LOWBIT_SCRATCH_DIR": "/tmp"}
        given.pop(missing)
        refused = subprocess.run(
            [LOWBIT, "worker"], env={**os.environ, **given}, capture_output=True, text=True, timeout=180, check=False
        )
        assert refused.returncode == 2
        assert missing in refused.stderr

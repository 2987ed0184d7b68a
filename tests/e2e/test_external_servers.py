"""The same code on servers of somebody else's: Postgres, Valkey and S3 that are named by the environment.

Started as a fleet is: migration, API and worker, each a process of its own that shares nothing but these servers.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2
import pytest

from app.auth.keys import generate
from tests.e2e import tiny
from tests.e2e.conversation import finished, job_body
from tests.servers.folders import short_folder
from tests.servers.postgres import Database
from tests.servers.seaweedfs import S3Address, free_ports, running_seaweedfs
from tests.servers.service import QUICK, running_service
from tests.servers.valkey import running_valkey

LOWBIT = str(Path(sys.executable).with_name("lowbit"))


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Address]:
    with short_folder() as folder, running_seaweedfs(folder) as address:
        yield address


@pytest.fixture(scope="module")
def environment(database: Database, s3: S3Address) -> Iterator[dict[str, str]]:
    """What every process of a fleet is told."""
    with running_valkey() as broker:
        yield {
            **QUICK,
            "LOWBIT_DATABASE_URL": database.url,
            "LOWBIT_DATABASE_OWNER_URL": database.owner_url,
            "LOWBIT_BROKER_URL": broker,
            "LOWBIT_STORAGE_URL": f"s3://fleet/here?endpoint_url={s3.endpoint_url}&region=us-east-1&create_bucket=true",
            "LOWBIT_S3_ACCESS_KEY_ID": s3.access_key,
            "LOWBIT_S3_SECRET_ACCESS_KEY": s3.secret_key,
        }


@contextmanager
def _process(command: list[str], environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=output, stderr=output)
    try:
        yield process
    finally:
        process.terminate()
        assert process.wait(60) in {0, -15}, log.read_text()


def _until(condition: Callable[[], bool], seconds: float = 60) -> None:
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


def _ready(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/readyz").status_code == 200
    except httpx2.TransportError:
        return False


def test_a_fleet_of_separate_processes_does_a_job(environment: dict[str, str], s3: S3Address, tmp_path: Path) -> None:
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
    port = str(free_ports(1)[0])
    api = {**environment, "LOWBIT_PORT": port, "LOWBIT_SCRATCH_DIR": str(tmp_path / "api")}
    api.pop("LOWBIT_DATABASE_OWNER_URL")  # only migrations may own
    worker = {**api, "LOWBIT_SCRATCH_DIR": str(tmp_path / "worker")}
    url = f"http://127.0.0.1:{port}"
    with ExitStack() as stack:
        stack.enter_context(_process([sys.executable, "-m", "app.serve.api"], api, tmp_path / "api.log"))
        stack.enter_context(_process([LOWBIT, "worker", "--queues", "inspect,cpu"], worker, tmp_path / "worker.log"))
        _until(lambda: _ready(url))
        http = stack.enter_context(httpx2.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=90))
        job = finished(http, http.post("/v1/jobs", json=job_body(http, recipe={"preset": "int8-fast"})).json()["id"])
        assert job["status"] == "succeeded", job
        artifact = http.get(job["links"]["artifacts"]).json()["data"][0]
        assert len(http.get(artifact["links"]["content"]).content) == artifact["bytes"]
        part = http.get(artifact["links"]["content"], headers={"Range": "bytes=5-9"})
        assert (part.status_code, len(part.content)) == (206, 5)
    stored = _objects(s3)
    assert any(name.endswith(artifact["sha256"]) for name in stored)
    assert all(name.startswith("here/t/tnt_") for name in stored)


def test_serve_uses_external_servers_and_starts_none_of_its_own(environment: dict[str, str]) -> None:
    with running_service(environment=environment) as service, service.client() as http:
        names = {process.name() for process in service.processes()}
        assert not names & {"postgres", "valkey-server"}
        assert not (service.data_dir / "postgres").exists()
        uploaded = http.post("/v1/files?purpose=model", content=tiny.model_bytes())
        assert uploaded.status_code == 201
        assert http.get("/readyz").json() == {"status": "ok", "database": True, "broker": True, "storage": True}


def test_a_worker_without_its_addresses_names_the_one_that_is_missing(environment: dict[str, str]) -> None:
    for missing in ("LOWBIT_DATABASE_URL", "LOWBIT_BROKER_URL", "LOWBIT_STORAGE_URL", "LOWBIT_SCRATCH_DIR"):
        given = {**environment, "LOWBIT_SCRATCH_DIR": "/tmp"}
        given.pop(missing)
        refused = subprocess.run(
            [LOWBIT, "worker"], env={**os.environ, **given}, capture_output=True, text=True, timeout=30, check=False
        )
        assert refused.returncode == 2
        assert missing in refused.stderr

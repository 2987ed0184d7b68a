"""The tree that `lowbit serve` runs: which parts are ours, which are external, and what each process is told."""

import gc
import os
import shlex
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass

from app.contracts.status import Queue
from app.serve.admin_key import ADMIN, admit, key_in_file, key_in_settings
from app.serve.bind_policy import bind, url_of
from app.serve.child import Child
from app.serve.data_directory import DataDirectory, SocketDirectory
from app.serve.discovery import ServiceNote
from app.serve.gpus import require_gpus
from app.serve.migrate import migrate
from app.serve.postgres import PrivatePostgres
from app.serve.server_user import require_reachable, server_identity
from app.serve.supervisor import Stopped, Supervisor, say
from app.serve.worker_child import worker_child
from app.settings import Settings
from app.version import VERSION

API_START_SECONDS = 180.0


@dataclass
class ServiceTree:
    settings: Settings
    data: DataDirectory

    def run(self) -> None:
        """Everything from the lock on the data directory to the last process stopped."""
        require_gpus(self.settings.gpu_workers)
        uses_embedded = self.settings.database_url is None or self.settings.broker_url is None
        identity = server_identity(self.settings.server_user) if uses_embedded else None
        self.data.root.mkdir(parents=True, exist_ok=True)
        if identity is not None:
            require_reachable(self.data.root, identity)
        lock = self.data.lock()
        listening = bind(self.settings)
        self.data.prepare(identity)
        sockets = SocketDirectory(self.data, identity)
        note = ServiceNote(self.data.root)
        supervisor = Supervisor()
        supervisor.watch_signals()
        try:
            self._start_servers(supervisor, PrivatePostgres(self.data, sockets.path, identity), sockets)
            generated = self._admit_admin()
            self._start_processes(supervisor, listening)
            other = note.write(url=self._url(listening), key_file=self.data.admin_key)
            self._greet(listening, generated, other)
            gc.freeze()  # what is loaded stays: the end need not search through it for garbage
            supervisor.run()
        except Stopped:
            pass
        finally:
            listening.close()
            note.remove()
            supervisor.stop_all()
            sockets.remove()
            os.close(lock)
        say("stopped.")

    def _start_servers(self, supervisor: Supervisor, postgres: PrivatePostgres, sockets: SocketDirectory) -> None:
        from app.serve.valkey import PrivateValkey  # noqa: PLC0415  its client library loads while Postgres starts

        updates: dict[str, object] = {}
        database = None
        if self.settings.database_url is None:
            postgres.initialise()
            database = supervisor.start(postgres.child())
            updates |= {"database_url": postgres.application_url(), "database_owner_url": postgres.owner_url()}
        if self.settings.broker_url is None:
            valkey = PrivateValkey(self.data, sockets.path, postgres.identity)
            broker = supervisor.start(valkey.child())
            valkey.wait_until_ready(broker)
            updates["broker_url"] = valkey.url()
        if database is not None:
            postgres.wait_until_ready(database)
            postgres.ensure_database()
        if self.settings.storage_url is None:
            updates["storage_url"] = self.data.objects.as_uri()
        if self.settings.scratch_dir is None:
            updates["scratch_dir"] = str(self.data.scratch)
        self.settings = Settings.model_validate({**self.settings.model_dump(), **updates})
        supervisor.raise_if_stopping()
        migrate(self.settings)

    def _admit_admin(self) -> str | None:
        """Make the admin key known to the gate. The key's text, if it was made just now."""
        key, is_new, name = key_in_settings(self.settings), False, ADMIN
        if key is None:
            key, is_new = key_in_file(self.data.admin_key)
            name = f"{ADMIN} of {socket.gethostname()}:{self.data.root}"
        admit(self.settings.require_database_owner_url(), key, name=name)
        return key.text() if is_new else None

    def _start_processes(self, supervisor: Supervisor, listening: socket.socket) -> None:
        environment = child_environment(self.settings)
        api = Child(
            name="api",
            command=[sys.executable, "-m", "app.serve.api", "--fd", str(listening.fileno())],
            environment=environment,
            log_file=self.data.logs / "api.log",
            pass_fds=(listening.fileno(),),
        )
        supervisor.start(api)
        # inspections have a worker of their own, so that none waits behind a long job
        pools = [(Queue.INSPECT, 1), (Queue.CPU, self.settings.cpu_workers), (Queue.GPU, self.settings.gpu_workers)]
        for queue, slots in pools:
            if slots:
                log_file = self.data.logs / f"worker-{queue}.log"
                supervisor.start(worker_child([queue], slots=slots, environment=environment, log_file=log_file))
        supervisor.wait_for(_answers(self._url(listening)), api, timeout_seconds=API_START_SECONDS)

    def _url(self, listening: socket.socket) -> str:
        return url_of(self.settings, listening.getsockname()[1])

    def _greet(self, listening: socket.socket, generated: str | None, other: str | None) -> None:
        say(f"Lowbit {VERSION} is ready at {self._url(listening)}")
        say(f"data, logs and the admin key (admin.key) are in {self.data.root}")
        if other is not None:
            say(f"the `lowbit` command goes on using {other}, which runs already; it finds this service with")
            say(f"lowbit --data-dir {shlex.quote(str(self.data.root))} COMMAND, or LOWBIT_DATA_DIR set to that")
        if generated is not None and sys.stderr.isatty():
            say(f"the admin key, shown this once: {generated}")


def child_environment(settings: Settings) -> dict[str, str]:
    """What our own processes are told: the caller's environment with every setting spelled out."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("LOWBIT_")}
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if value is None or value == ():
            continue
        if name in {"admin_key", "database_owner_url"}:
            continue  # used by now, and nobody else's business
        plain = value.get_secret_value() if hasattr(value, "get_secret_value") else value
        environment[f"LOWBIT_{name.upper()}"] = ",".join(plain) if isinstance(plain, tuple) else str(plain)
    return environment


def _answers(url: str) -> Callable[[], bool]:
    """Whether the API answers at all. Behind TLS the handshake is proof enough: its name may not be ours to check."""

    def probe() -> bool:
        host, _, port = url.rpartition("://")[2].rpartition(":")
        try:
            if url.startswith("https"):
                with socket.create_connection((host.strip("[]"), int(port)), timeout=2):
                    return True
            request = urllib.request.Request(f"http://{host}:{port}/healthz", headers={"Host": "localhost"})
            with urllib.request.urlopen(request, timeout=2) as answer:  # noqa: S310  our own loopback address
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    return probe

"""A fleet with a proxy of ours in front of every server that it depends on, and what the fault tests do with it."""

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx2

from tests.e2e.conversation import job_body
from tests.faults import history
from tests.faults.fleet import Fleet, running_fleet, until
from tests.faults.history import Change
from tests.faults.proxy import HEALTHY, Proxy, running_proxy
from tests.servers.seaweedfs import Seaweed
from tests.servers.valkey import running_valkey

QUICK = {"batch_sizes": [1], "duration_s": 0.2}
LONG = {"batch_sizes": [1], "duration_s": 60.0}
END_SECONDS = 120.0


@dataclass
class Scene:
    fleet: Fleet
    broker: Proxy
    """Between the service and Valkey."""
    store: Proxy
    """Between the service and S3."""
    api: Proxy
    """Between a client and the service."""
    valkey_socket: str
    http: httpx2.Client
    """Straight to the API."""
    body: dict[str, Any] = field(default_factory=dict)
    submitted: list[str] = field(default_factory=list)

    def heal(self) -> None:
        for proxy in (self.broker, self.store, self.api):
            proxy.faults = HEALTHY

    def calm_down(self) -> None:
        """After a test: no fault is left, and no job."""
        self.heal()
        until(self.fleet.is_ready)
        for job_id in self.submitted:
            self.http.post(f"/v1/jobs/{job_id}/cancel")
        for job_id in self.submitted:
            self.finished(job_id)
        self.submitted.clear()

    def submit(self, *, key: str | None = None, **changes: Any) -> str:
        """The id of a new job, by default one that takes seconds."""
        answer = self.post_job(key=key, **changes)
        assert answer.status_code == 202, answer.text
        job_id: str = answer.json()["id"]
        self.submitted.append(job_id)
        return job_id

    def post_job(self, *, key: str | None = None, **changes: Any) -> httpx2.Response:
        body = {**self.body, "recipe": {"preset": "int8-fast"}, "benchmark": QUICK, **changes}
        headers = {"Idempotency-Key": key} if key else {}
        return self.http.post("/v1/jobs", json=body, headers=headers)

    def started(self, stage: str = "benchmark") -> str:
        """The id of a job that has reached a stage, and would stay in `benchmark` for a minute."""
        job_id = self.submit(benchmark=LONG)
        until(lambda: self.job(job_id)["stage"] == stage)
        return job_id

    def job(self, job_id: str) -> dict[str, Any]:
        """As the API shows it; it is asked again while it does not answer."""
        found: dict[str, Any] = until(lambda: self._read(f"/v1/jobs/{job_id}"))
        return found

    def finished(self, job_id: str, *, seconds: float = END_SECONDS) -> dict[str, Any]:
        found: dict[str, Any] = until(
            lambda: (job := self.job(job_id))["done"] and job, seconds=seconds, pause_seconds=0.2
        )
        return found

    def in_attempt(self, job_id: str, attempt: int) -> dict[str, Any]:
        """The job once it runs for that time."""
        found: dict[str, Any] = until(
            lambda: (job := self.job(job_id))["attempt"] == attempt and job["status"] == "running" and job
        )
        return found

    def artifacts(self, job_id: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = until(lambda: self._read(f"/v1/jobs/{job_id}/artifacts"))["data"]
        return found

    def history(self, job_id: str) -> list[Change]:
        with self.fleet.connect() as connection:
            return [change for change in history.changes(connection) if change.job_id == job_id]

    def steps(self, job_id: str) -> list[str]:
        """The statuses that a job went through, one after the other."""
        return [c.after or "" for c in self.history(job_id) if c.relation == "jobs" and c.before != c.after]

    def sql(self, statement: str) -> list[dict[str, Any]]:
        """As the database's owner."""
        with self.fleet.connect() as connection:
            cursor = connection.execute(statement)  # type: ignore[call-overload]
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def trigger(self, *, when: str, body: str) -> Iterator[None]:
        """Have the database do something at a moment of ours: `body` is PL/pgSQL, `when` the trigger's clause."""
        self.sql(
            "CREATE FUNCTION faults.injected() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER"
            f" SET search_path = faults AS $$ BEGIN {body} RETURN NEW; END $$;"
            f" CREATE TRIGGER injected {when} EXECUTE FUNCTION faults.injected()"
        )
        try:
            yield
        finally:
            until(self.fleet.is_ready)
            self.sql("DROP TRIGGER injected ON jobs; DROP FUNCTION faults.injected()")

    def _read(self, path: str) -> dict[str, Any] | None:
        with suppress(httpx2.TransportError):
            answer = self.http.get(path)
            assert answer.status_code in {200, 503}, answer.text
            if answer.status_code == 200:
                found: dict[str, Any] = answer.json()
                return found
        time.sleep(0.1)
        return None


@contextmanager
def running_scene(s3: Seaweed, environment: Mapping[str, str] | None = None) -> Iterator[Scene]:
    with ExitStack() as stack:
        socket = stack.enter_context(running_valkey()).removeprefix("redis+socket://")
        broker = stack.enter_context(running_proxy(socket))
        store = stack.enter_context(running_proxy(s3.address.endpoint_url.removeprefix("http://")))
        told = {"LOWBIT_BROKER_URL": f"redis://{broker.address}", **(environment or {})}
        fleet = stack.enter_context(running_fleet(s3, told, through=store.address))
        api = stack.enter_context(running_proxy(fleet.service.url.removeprefix("http://")))
        http = stack.enter_context(fleet.service.client())
        scene = Scene(fleet, broker, store, api, socket, http)
        with fleet.connect() as connection:
            history.install(connection)
        scene.body = job_body(http)
        yield scene

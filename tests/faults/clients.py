"""The clients of a service that is being killed: they submit, follow, cancel, download and pry, and log all of it.

None of them knows about the faults. A request without a reliable answer is sent again with the same Idempotency-Key, as
a good client would.
"""

import hashlib
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2

from tests.e2e import tiny
from tests.e2e.conversation import job_body
from tests.faults.client_log import Action, ClientLog, Outcome, ids_in

PAUSE_SECONDS = 0.3
REQUEST_TIMEOUT_SECONDS = 20.0
CANCELLED_SHARE = 0.15
SEND_AGAIN = {409, 425, 429, 500, 502, 503, 504}
FINAL = {"succeeded", "failed", "cancelled"}


@dataclass
class Tenant:
    """One tenant's key, what it may submit, and the jobs that were acknowledged."""

    id: str
    url: str
    key: str
    body: dict[str, Any] = field(default_factory=dict)
    models: list[str] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)
    to_be_cancelled: dict[str, float] = field(default_factory=dict)
    """Job id to the time (monotonic seconds) at which its owner changes their mind."""
    finished: set[str] = field(default_factory=set)
    """Jobs that were seen at their end, with every artifact downloaded."""

    def client(self, *, timeout_seconds: float = REQUEST_TIMEOUT_SECONDS) -> httpx2.Client:
        headers = {"Authorization": f"Bearer {self.key}"}
        return httpx2.Client(base_url=self.url, headers=headers, timeout=timeout_seconds)

    def prepare(self) -> None:
        """Upload what its jobs will name, while nothing is being killed."""
        with self.client(timeout_seconds=90.0) as http:  # it waits for inspections
            quick = {"batch_sizes": [1], "duration_s": 0.5}
            self.body = job_body(http, recipe={"preset": "int8-fast"}, benchmark=quick)
        self.models = [self.body["model_id"]]


@dataclass
class Clients:
    """All threads of one run."""

    log: ClientLog
    tenants: list[Tenant]
    rng: random.Random
    stop: threading.Event = field(default_factory=threading.Event)
    submitted: threading.Event = field(default_factory=threading.Event)
    """Every job that was to be submitted is acknowledged."""

    @contextmanager
    def at_work(self, *, jobs: int, seconds: float) -> Iterator[None]:
        """Submit a number of jobs, spread over a time; follow them until the context ends."""
        first, second = self.tenants
        work: list[Callable[[], None]] = [
            lambda: self._submit(jobs, pause_seconds=0.8 * seconds / jobs),
            lambda: self._upload(first),
            lambda: self._follow(first),
            lambda: self._follow(second),
            lambda: self._pry(first, into=second),
            lambda: self._pry(second, into=first),
        ]
        threads = [threading.Thread(target=one, daemon=True) for one in work]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.stop.set()
            for thread in threads:
                thread.join(2 * REQUEST_TIMEOUT_SECONDS)

    def unseen(self) -> int:
        """Acknowledged jobs that were not seen at their end yet, or whose artifacts were not downloaded."""
        return sum(len(set(tenant.acknowledged) - tenant.finished) for tenant in self.tenants)

    def _submit(self, jobs: int, *, pause_seconds: float) -> None:
        with self.tenants[0].client() as first, self.tenants[1].client() as second:
            for number in range(jobs):
                # every fifth job is the second tenant's
                tenant, http = (self.tenants[1], second) if number % 5 == 4 else (self.tenants[0], first)
                self._submit_one(tenant, http, key=f"key-{number}-of-{tenant.id}")
                if self.stop.wait(pause_seconds):
                    return
        self.submitted.set()

    def _submit_one(self, tenant: Tenant, http: httpx2.Client, *, key: str) -> None:
        body = {**tenant.body, "model_id": self.rng.choice(tenant.models), "labels": {"key": key}}
        while not self.stop.is_set():
            self.log.note(tenant.id, Action.SUBMIT, Outcome.INVOKE, key=key)
            answer = _sent(http, "POST", "/v1/jobs", json=body, headers={"Idempotency-Key": key})
            status = answer.status_code if answer is not None else None
            if answer is not None and status == 202:
                job_id = answer.json()["id"]
                self.log.note(tenant.id, Action.SUBMIT, Outcome.OK, key=key, job_id=job_id, http_status=status)
                if self.rng.random() < CANCELLED_SHARE:
                    tenant.to_be_cancelled[job_id] = time.monotonic() + self.rng.uniform(0, 10)
                tenant.acknowledged.append(job_id)
                return
            if status is not None and status not in SEND_AGAIN:
                self.log.note(tenant.id, Action.SUBMIT, Outcome.FAIL, key=key, http_status=status)
                return
            self.log.note(tenant.id, Action.SUBMIT, Outcome.UNKNOWN, key=key, http_status=status)
            self.stop.wait(PAUSE_SECONDS)

    def _upload(self, tenant: Tenant) -> None:
        """New models all the time: uploads and inspections are work that can be killed, too."""
        number = 0
        with tenant.client() as http:
            while not self.submitted.is_set() and not self.stop.is_set():
                number += 1
                content = tiny.model_bytes(edits=[_named(f"upload-{number}")])
                parameters = {"purpose": "model", "filename": f"upload-{number}.onnx"}
                file = _made(http, f"file-{number}", "/v1/files", content=content, params=parameters)
                model = file and _made(http, f"model-{number}", "/v1/models", json={"file_id": file["id"]})
                found = model and _sent(http, "GET", f"/v1/models/{model['id']}", headers={"Prefer": "wait=15"})
                if model and found is not None and found.status_code == 200 and found.json()["status"] == "ready":
                    tenant.models.append(model["id"])
                self.stop.wait(10 * PAUSE_SECONDS)

    def _follow(self, tenant: Tenant) -> None:
        with tenant.client() as http:
            while not self.stop.is_set():
                for job_id in [j for j in tenant.acknowledged if j not in tenant.finished]:
                    if time.monotonic() > tenant.to_be_cancelled.get(job_id, float("inf")):
                        self._cancel(tenant, http, job_id)
                    self._look_at(tenant, http, job_id)
                self._list(tenant, http)
                self.stop.wait(PAUSE_SECONDS)

    def _cancel(self, tenant: Tenant, http: httpx2.Client, job_id: str) -> None:
        self.log.note(tenant.id, Action.CANCEL, Outcome.INVOKE, job_id=job_id)
        answer = _sent(http, "POST", f"/v1/jobs/{job_id}/cancel")
        status = answer.status_code if answer is not None else None
        if status in {200, 202, 409}:
            tenant.to_be_cancelled.pop(job_id)
        outcome = Outcome.OK if status in {200, 202} else Outcome.FAIL if status == 409 else Outcome.UNKNOWN
        self.log.note(tenant.id, Action.CANCEL, outcome, job_id=job_id, http_status=status)

    def _look_at(self, tenant: Tenant, http: httpx2.Client, job_id: str) -> None:
        found = self._read(tenant, http, f"/v1/jobs/{job_id}", job_id)
        if found is None or found["status"] not in FINAL:
            return
        artifacts = self._read(tenant, http, f"/v1/jobs/{job_id}/artifacts?limit=100", job_id)
        if artifacts is not None and all(self._download(tenant, http, one) for one in artifacts["data"]):
            tenant.finished.add(job_id)

    def _read(self, tenant: Tenant, http: httpx2.Client, path: str, job_id: str | None) -> dict[str, Any] | None:
        answer = _sent(http, "GET", path)
        if answer is None or answer.status_code != 200:
            status = answer.status_code if answer is not None else None
            self.log.note(tenant.id, Action.READ, Outcome.UNKNOWN, job_id=job_id, http_status=status)
            return None
        found: dict[str, Any] = answer.json()
        facts = {"job_id": job_id, "http_status": 200, "job_status": found.get("status"), "ids": ids_in(answer.text)}
        self.log.note(tenant.id, Action.READ, Outcome.OK, **facts)
        return found

    def _list(self, tenant: Tenant, http: httpx2.Client) -> None:
        for kind in ("jobs", "models"):
            self._read(tenant, http, f"/v1/{kind}?limit=100", None)

    def _download(self, tenant: Tenant, http: httpx2.Client, artifact: dict[str, Any]) -> bool:
        facts = {"artifact_id": artifact["id"], "job_id": artifact["job_id"]}
        answer = _sent(http, "GET", artifact["links"]["content"])
        if answer is None or answer.status_code != 200:
            status = answer.status_code if answer is not None else None
            self.log.note(tenant.id, Action.DOWNLOAD, Outcome.UNKNOWN, http_status=status, **facts)
            return False
        digest = hashlib.sha256(answer.content).hexdigest()
        self.log.note(tenant.id, Action.DOWNLOAD, Outcome.OK, http_status=200, sha256=digest, **facts)
        return True

    def _pry(self, tenant: Tenant, *, into: Tenant) -> None:
        """Ask for, and try to end, what belongs to somebody else."""
        with tenant.client() as http:
            while not self.stop.wait(4 * PAUSE_SECONDS):
                if not into.acknowledged:
                    continue
                job_id = into.acknowledged[-1]
                for method, path in (
                    ("GET", f"/v1/jobs/{job_id}"),
                    ("GET", f"/v1/jobs/{job_id}/artifacts"),
                    ("POST", f"/v1/jobs/{job_id}/cancel"),
                ):
                    answer = _sent(http, method, path)
                    if answer is not None:
                        shown = ids_in(answer.text) - {job_id}  # what one asks for one knows already
                        facts = {"http_status": answer.status_code, "job_id": job_id, "ids": shown}
                        self.log.note(tenant.id, Action.PRY, Outcome.OK, **facts)


def _sent(http: httpx2.Client, method: str, path: str, **parts: Any) -> httpx2.Response | None:
    """The answer, whole, or None."""
    try:
        return http.request(method, path, **parts)
    except httpx2.HTTPError:
        return None


def _made(http: httpx2.Client, key: str, path: str, **parts: Any) -> dict[str, Any] | None:
    """What a POST made. None after a few tries: the next round makes another."""
    for _ in range(10):
        answer = _sent(http, "POST", path, headers={"Idempotency-Key": key}, **parts)
        if answer is not None and answer.status_code == 201:
            found: dict[str, Any] = answer.json()
            return found
        time.sleep(PAUSE_SECONDS)
    return None


def _named(name: str) -> Callable[[Any], None]:
    """Give a model a name of its own, and with it a digest of its own."""

    def edit(model: Any) -> None:
        model.graph.name = name

    return edit

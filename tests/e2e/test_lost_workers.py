"""Whatever process dies, a job ends: run again, or failed with a code; never one that stays `running`."""

import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from tests.e2e import tiny
from tests.e2e.conversation import finished, job_body
from tests.servers.folders import short_folder
from tests.servers.processes import kill, living, running, seen
from tests.servers.service import LEASE_SECONDS, SHORT_LEASES, Service, start_service

LONG = {"batch_sizes": [1, 2, 4, 8], "duration_s": 60.0}
"""Four minutes, whose end nobody waits for."""


class Kept:
    """One service for all these tests, which kill parts of it. Some end it: it is started again on what it left."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: Service | None = None
        self._environment: Mapping[str, str] = {}

    def there(self, environment: Mapping[str, str] = SHORT_LEASES) -> Service:
        """With these settings, and no other."""
        if self._running is None or self._running.process.poll() is not None or self._environment != environment:
            self.stop()
            self._running = start_service(self._folder, environment)
            self._environment = environment
        return self._running

    def stop(self) -> None:
        if self._running is not None:
            self._running.stop()


@pytest.fixture(scope="module")
def kept() -> Iterator[Kept]:
    with short_folder() as folder:
        kept = Kept(folder)
        try:
            yield kept
        finally:
            kept.stop()


@pytest.fixture
def service(kept: Kept) -> Service:
    return kept.there()


@pytest.fixture
def http(service: Service) -> Iterator[httpx2.Client]:
    with service.client() as client:
        yield client


def _until(condition: Callable[[], Any], seconds: float = 180) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come about")


def _job(http: httpx2.Client, job_id: str) -> dict[str, Any]:
    found: dict[str, Any] = http.get(f"/v1/jobs/{job_id}").json()
    return found


def _started(http: httpx2.Client, stage: str = "benchmark") -> dict[str, Any]:
    """A job that has reached a stage in which it will stay for minutes."""
    job = http.post("/v1/jobs", json=job_body(http, benchmark=LONG, recipe={"preset": "int8-fast"})).json()
    _until(lambda: _job(http, job["id"])["stage"] == stage)
    return job


def _processes(service: Service, *words: str) -> list[psutil.Process]:
    return running(service.processes(), *words)


def _job_processes(service: Service) -> list[psutil.Process]:
    return _processes(service, "workers.pipeline")


def _cancel(http: httpx2.Client, job_id: str) -> None:
    http.post(f"/v1/jobs/{job_id}/cancel")
    assert finished(http, job_id)["status"] == "cancelled"


def test_a_killed_job_process_is_started_again(service: Service, http: httpx2.Client) -> None:
    job = _started(http)
    kill(_job_processes(service))
    again = _until(lambda: (found := _job(http, job["id"]))["attempt"] == 2 and found)
    assert again["status"] == "running"
    _cancel(http, job["id"])


def test_a_job_whose_process_always_dies_is_quarantined(service: Service, http: httpx2.Client) -> None:
    job = _started(http, stage="benchmark")

    def killed_until_done() -> bool:
        kill(_job_processes(service))
        return bool(_job(http, job["id"])["done"])

    _until(killed_until_done)
    after = _job(http, job["id"])
    assert (after["status"], after["attempt"]) == ("failed", 3)
    assert after["error"]["code"] == "job_quarantined"
    assert after["finished_at"] is not None
    assert http.get(after["links"]["artifacts"]).json()["data"] == []


def test_a_killed_worker_is_replaced_and_its_job_runs_again(service: Service, http: httpx2.Client) -> None:
    job = _started(http)
    old = _job_processes(service)
    kill(_processes(service, "celery", "cpu"))
    again = _until(lambda: (found := _job(http, job["id"]))["attempt"] == 2 and found)
    assert again["status"] == "running"
    assert not living(old)  # the old attempt did not outlive its worker
    _cancel(http, job["id"])


def test_a_frozen_worker_loses_its_job_and_writes_nothing_when_it_wakes(service: Service, http: httpx2.Client) -> None:
    job = _started(http)
    frozen = _processes(service, "celery", "cpu")
    for process in frozen:
        process.suspend()
    _until(lambda: _job(http, job["id"])["status"] == "queued")
    for process in frozen:
        process.resume()
    _until(lambda: _job(http, job["id"])["attempt"] == 2)
    assert _job(http, job["id"])["status"] == "running"
    _cancel(http, job["id"])


def test_a_killed_broker_loses_no_job(service: Service, http: httpx2.Client) -> None:
    body = job_body(http, recipe={"preset": "int8-fast"})
    kill(_processes(service, "valkey-server"))
    job = http.post("/v1/jobs", json=body)
    assert job.status_code == 202
    assert finished(http, job.json()["id"])["status"] == "succeeded"


def test_a_killed_api_comes_back_with_everything(service: Service, http: httpx2.Client) -> None:
    job = http.post("/v1/jobs", json=job_body(http, recipe={"preset": "int8-fast"})).json()
    kill(_processes(service, "app.serve.api"))
    with service.client() as client:
        _until(lambda: _answers(client))
        assert finished(client, job["id"])["status"] == "succeeded"


def test_a_killed_database_comes_back_with_everything(service: Service, http: httpx2.Client) -> None:
    job = http.post("/v1/jobs", json=job_body(http, recipe={"preset": "int8-fast"})).json()
    postgres = next(p for p in _processes(service, "bin/postgres", "-D"))
    postgres.kill()
    seen = set()
    _until(
        lambda: seen.add(http.get("/v1/jobs").status_code) or (200 in seen and http.get("/readyz").status_code == 200)
    )
    assert seen <= {200, 503}
    after = finished(http, job["id"])
    assert (after["status"], after["attempt"]) == ("succeeded", 1)  # a short outage is not the job's fault


@contextmanager
def _silent_database(service: Service) -> Iterator[None]:
    """Frozen, not dead: it keeps its connections, takes new ones, and says nothing."""
    postgres = _processes(service, "bin/postgres", "-D")[0]
    frozen = [postgres, *postgres.children(recursive=True)]
    seen(frozen, lambda process: process.suspend())
    try:
        yield
    finally:
        seen(frozen, lambda process: process.resume())


@pytest.mark.pace
def test_a_database_that_is_silent_for_a_while_costs_nothing(service: Service, http: httpx2.Client) -> None:
    job = _started(http)
    with _silent_database(service):
        time.sleep(3)  # of the 9 s that may pass without a beat
    time.sleep(4)  # past the next beats
    after = _job(http, job["id"])
    assert (after["status"], after["attempt"], len(_job_processes(service))) == ("running", 1, 1)
    _cancel(http, job["id"])


def test_an_outage_of_the_store_costs_no_attempt(service: Service, http: httpx2.Client) -> None:
    body = job_body(http, recipe={"preset": "int8-fast"})
    objects = service.data_dir / "objects"
    objects.rename(objects.with_name("objects.away"))
    job = http.post("/v1/jobs", json=body).json()
    # a worker that has not met the store before does not even claim
    _until(lambda: any(words in service.log("worker-cpu") for words in ("job postponed", "nothing is claimed")))
    objects.with_name("objects.away").rename(objects)
    after = finished(http, job["id"])
    assert (after["status"], after["attempt"]) == ("succeeded", 1)


def test_a_worker_without_scratch_room_does_not_drain_the_queue(service: Service, http: httpx2.Client) -> None:
    body = job_body(http, recipe={"preset": "int8-fast"})
    folder = service.data_dir / "scratch" / "jobs"
    _until(lambda: not list(folder.iterdir()))
    folder.rmdir()
    folder.write_text("a file where the folder should be")
    jobs = [http.post("/v1/jobs", json=body).json()["id"] for _ in range(3)]
    _until(lambda: "scratch folder cannot be used" in service.log("worker-cpu"))
    folder.unlink()
    for job_id in jobs:
        after = finished(http, job_id)
        assert (after["status"], after["attempt"]) == ("succeeded", 1)


def test_a_running_job_is_cancelled_and_its_process_is_gone(service: Service, http: httpx2.Client) -> None:
    job = _started(http)
    asked = http.post(f"/v1/jobs/{job['id']}/cancel")
    assert (asked.status_code, asked.json()["status"]) == (202, "cancelling")
    assert finished(http, job["id"])["status"] == "cancelled"
    _until(lambda: not _job_processes(service))
    _until(lambda: not list((service.data_dir / "scratch" / "jobs").iterdir()))
    assert http.post(f"/v1/jobs/{job['id']}/cancel").status_code == 200


def test_a_finished_job_cannot_be_cancelled(http: httpx2.Client) -> None:
    job = http.post("/v1/jobs", json=job_body(http, recipe={"preset": "int8-fast"})).json()
    finished(http, job["id"])
    refused = http.post(f"/v1/jobs/{job['id']}/cancel")
    assert (refused.status_code, refused.json()["code"]) == (409, "invalid_state_transition")


def test_a_stopped_service_gives_its_job_back_and_goes_on_with_it_later(kept: Kept) -> None:
    first = kept.there()
    with first.client() as http:
        job = _started(http)
    assert first.stop() == 0
    second = kept.there()
    assert second.process.pid != first.process.pid
    assert second.key == first.key
    with second.client() as http:
        again = _until(lambda: (found := _job(http, job["id"]))["status"] == "running" and found)
        assert again["attempt"] == 1  # being stopped costs no attempt
        model = http.get(f"/v1/models/{job['model_id']}").json()
        assert http.get(f"{model['links']['file']}/content").content == tiny.model_bytes()
        _cancel(http, job["id"])


def test_a_service_killed_outright_leaves_no_process_and_its_job_runs_again(kept: Kept) -> None:
    first = kept.there()
    with first.client() as http:
        job = _started(http)
    tree = first.processes()
    assert first.stop(signal.SIGKILL) == -signal.SIGKILL
    _until(lambda: not living(tree))
    with kept.there().client() as http:
        again = _until(lambda: (found := _job(http, job["id"]))["attempt"] == 2 and found)
        assert again["status"] == "running"
        _cancel(http, job["id"])


@pytest.mark.pace
def test_a_silent_database_hangs_neither_requests_nor_an_attempt_whose_lease_runs_out(kept: Kept) -> None:
    service = kept.there({**SHORT_LEASES, "LOWBIT_QUERY_SECONDS": "1"})
    with service.client() as http:
        job = _started(http)
        with _silent_database(service):
            began = time.monotonic()
            assert http.get("/v1/jobs").status_code == 503
            answered_after = time.monotonic() - began
            assert answered_after < 7  # a query of 1 + 1 s, and a connection that is not made in 3 s
            time.sleep(max(0.0, LEASE_SECONDS - answered_after))
            assert not _job_processes(service)  # the work has stopped before it could be another's
            time.sleep(2)
        _until(lambda: _job_processes(service))  # again, by whichever worker took it; the silence cost nothing
        again = _until(lambda: (found := _job(http, job["id"])).get("status") == "running" and found)
        assert again["attempt"] == 1
        _cancel(http, job["id"])


def _answers(client: httpx2.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx2.TransportError:
        return False

"""Faults between the service and its servers, each with what was promised for it. Numbers: docs/reliability.md.

Every test runs against real servers; jobs are real jobs. Afterwards all faults are lifted and every job has ended.
"""

import hashlib
import shutil
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from celery import Celery
from redis import Redis

from app.jobs.announce import TASK_NAME
from tests.e2e import tiny
from tests.faults.fleet import Role, until
from tests.faults.proxy import HEALTHY, Faults
from tests.faults.scene import LONG, Scene, running_scene
from tests.servers.seaweedfs import Seaweed

pytestmark = pytest.mark.faults

OCTETS = {"Content-Type": "application/octet-stream"}
IDLE_SECONDS = 3.0
ONE_ATTEMPT = ["queued", "running", "succeeded"]


@pytest.fixture(scope="module")
def one_scene(s3: Seaweed) -> Iterator[Scene]:
    with running_scene(s3, {"LOWBIT_UPLOAD_IDLE_SECONDS": str(IDLE_SECONDS)}) as running:
        yield running


@pytest.fixture
def scene(one_scene: Scene) -> Iterator[Scene]:
    yield one_scene
    one_scene.calm_down()


def _kill(scene: Scene, role: Role) -> None:
    for process in scene.fleet.processes(role):
        process.kill()


def test_f02_a_killed_worker_child_is_replaced_and_its_folder_is_swept(scene: Scene) -> None:
    job_id = scene.started()
    [process] = scene.fleet.job_processes(job_id)
    folder = next((scene.fleet.scratch / "jobs").glob(f"{job_id}-*[0-9]"))
    process.parent().kill()
    scene.in_attempt(job_id, 2)
    assert not process.is_running()
    until(lambda: not folder.exists(), seconds=20)


def test_f04_a_worker_killed_with_its_folder_is_no_different(scene: Scene) -> None:
    job_id = scene.started()
    _kill(scene, Role.WORKER)
    shutil.rmtree(next((scene.fleet.scratch / "jobs").glob(f"{job_id}-*[0-9]")))
    scene.in_attempt(job_id, 2)


def test_f05_an_api_killed_between_commit_and_reply_makes_one_job(scene: Scene) -> None:
    """The proxy swallows the reply, so that the client knows nothing of what was committed."""
    scene.api.faults = Faults(answer_limit_bytes=0)
    body = {**scene.body, "labels": {"key": "f05"}}
    headers = {"Idempotency-Key": "f05", "Authorization": scene.http.headers["Authorization"]}
    with pytest.raises(httpx2.TransportError):
        httpx2.post(f"http://{scene.api.address}/v1/jobs", json=body, headers=headers)
    _kill(scene, Role.API)
    until(scene.fleet.is_ready)
    again = scene.http.post("/v1/jobs", json=body, headers=headers)
    assert (again.status_code, again.headers.get("Idempotency-Replayed")) == (202, "true")
    made = scene.sql("SELECT id FROM jobs WHERE labels->>'key' = 'f05'")
    assert [row["id"] for row in made] == [again.json()["id"]]
    scene.submitted.append(again.json()["id"])


def test_f06_an_api_killed_between_commit_and_announcement_loses_no_job(scene: Scene) -> None:
    scene.broker.faults = Faults(is_black_hole=True)  # the announcement is under way for as long as this lasts
    job_id = scene.submit()
    _kill(scene, Role.API)
    scene.broker.faults = HEALTHY
    until(scene.fleet.is_ready)
    until(lambda: scene.job(job_id)["status"] != "queued", seconds=10)
    assert scene.finished(job_id)["status"] == "succeeded"


def test_f07_a_broker_that_forgot_everything_loses_no_job(scene: Scene) -> None:
    jobs = [scene.submit() for _ in range(4)]
    with Redis(unix_socket_path=scene.valkey_socket) as valkey:
        valkey.flushall()
    assert {scene.finished(job_id)["status"] for job_id in jobs} == {"succeeded"}


def test_f08_a_full_broker_delays_jobs_and_loses_none(scene: Scene) -> None:
    with Redis(unix_socket_path=scene.valkey_socket) as valkey:
        valkey.config_set("maxmemory", "1")  # byte: every message is refused
        job_id = scene.submit()
        time.sleep(2)
        assert scene.job(job_id)["status"] == "queued"
        valkey.config_set("maxmemory", "0")  # no limit
    assert scene.finished(job_id)["status"] == "succeeded"
    assert scene.steps(job_id) == ONE_ATTEMPT


def test_f09_a_broker_that_falls_silent_holds_up_nobody(scene: Scene) -> None:
    scene.broker.faults = Faults(is_black_hole=True)
    for _ in range(3):
        asked = time.monotonic()
        job_id = scene.submit()
        assert time.monotonic() - asked < 1.0
    answer = scene.http.get("/readyz")
    assert (answer.status_code, answer.json()["broker"], answer.json()["database"]) == (503, False, True)
    time.sleep(10)  # longer than the workers wait for an answer
    scene.broker.faults = HEALTHY
    assert scene.finished(job_id)["status"] == "succeeded"


def test_f10_a_message_delivered_five_times_starts_one_attempt(scene: Scene) -> None:
    with Celery("duplicates", broker=f"redis://{scene.broker.address}") as celery:
        job_id = scene.submit()
        for _ in range(5):
            celery.send_task(TASK_NAME, args=["cpu"], queue="cpu", ignore_result=True)
    assert scene.finished(job_id)["status"] == "succeeded"
    assert scene.steps(job_id) == ONE_ATTEMPT
    with Redis(unix_socket_path=scene.valkey_socket) as valkey:
        until(lambda: valkey.llen("cpu") == 0, seconds=10)  # the others were read, and did nothing


def test_f11_a_database_killed_while_a_job_ends_ends_it_once(scene: Scene) -> None:
    finishing = "AFTER UPDATE ON jobs FOR EACH ROW WHEN (NEW.status = 'succeeded')"
    with scene.trigger(when=finishing, body="PERFORM pg_sleep(2);"):
        job_id = scene.submit()
        until(lambda: scene.sql("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"))
        _kill(scene, Role.POSTGRES)
    assert scene.finished(job_id)["status"] == "succeeded"
    assert scene.steps(job_id).count("succeeded") == 1
    names = [artifact["filename"] for artifact in scene.artifacts(job_id)]
    assert names
    assert len(names) == len(set(names))
    told = [row["type"] for row in scene.sql(f"SELECT type FROM job_events WHERE job_id = '{job_id}' ORDER BY seq")]
    variants = scene.http.get(f"/v1/jobs/{job_id}/variants").json()["data"]
    assert [kind for kind in told if kind in {"variant", "artifact", "done"}] == [
        *["variant"] * len(variants),
        *["artifact"] * len(names),
        "done",
    ]


def test_f12_losing_every_database_connection_costs_neither_a_job_nor_an_answer(scene: Scene) -> None:
    job_id = scene.submit(benchmark={"batch_sizes": [1], "duration_s": 4.0})
    scene.in_attempt(job_id, 1)
    answers = set()
    for _ in range(20):
        scene.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'lowbit_app'")
        answers |= {scene.http.get("/v1/jobs").status_code, scene.http.get(f"/v1/jobs/{job_id}").status_code}
        time.sleep(0.1)
    assert answers <= {200, 503}
    assert scene.finished(job_id)["status"] == "succeeded"
    assert scene.steps(job_id) == ONE_ATTEMPT


@pytest.mark.parametrize("code", ["40001", "40P01"])
def test_f13_a_submission_that_the_database_rolls_back_is_tried_again(scene: Scene, code: str) -> None:
    """A serialization failure, then a deadlock. A sequence is not rolled back, so it counts the failures."""
    body = f"IF nextval('failures') <= 2 THEN RAISE EXCEPTION 'injected' USING ERRCODE = '{code}'; END IF;"
    scene.sql("CREATE SEQUENCE faults.failures")
    with scene.trigger(when="BEFORE INSERT ON jobs FOR EACH ROW", body=body):
        for _ in range(3):
            answer = scene.post_job(key=f"f13-{code}", labels={"key": code})
            if answer.status_code == 202:
                break
            assert (answer.status_code, answer.json()["code"]) == (503, "service_unavailable")
    scene.sql("DROP SEQUENCE faults.failures")
    assert answer.status_code == 202
    scene.submitted.append(answer.json()["id"])
    assert len(scene.sql(f"SELECT id FROM jobs WHERE labels->>'key' = '{code}'")) == 1


def test_f13_an_end_that_the_database_rolls_back_is_written_again(scene: Scene) -> None:
    body = "IF nextval('failures') <= 2 THEN RAISE EXCEPTION 'injected' USING ERRCODE = '40001'; END IF;"
    scene.sql("CREATE SEQUENCE faults.failures")
    ending = "BEFORE UPDATE ON jobs FOR EACH ROW WHEN (NEW.status = 'succeeded')"
    with scene.trigger(when=ending, body=body):
        job_id = scene.submit()
        assert scene.finished(job_id)["status"] == "succeeded"
    scene.sql("DROP SEQUENCE faults.failures")
    assert scene.steps(job_id) == ONE_ATTEMPT


def test_f14_a_store_that_is_away_at_the_upload_costs_no_attempt_and_never_makes_a_success(scene: Scene) -> None:
    job_id = scene.submit(benchmark={"batch_sizes": [1], "duration_s": 3.0})
    until(lambda: scene.job(job_id)["stage"] == "benchmark")
    scene.store.faults = Faults(resets=True)
    until(lambda: not scene.fleet.job_processes(job_id))  # the work is done
    time.sleep(5)  # and its outputs are refused, again and again
    assert scene.job(job_id)["status"] in {"running", "queued"}
    assert scene.artifacts(job_id) == []
    scene.store.faults = HEALTHY
    after = scene.finished(job_id)
    assert (after["status"], after["attempt"]) == ("succeeded", 1)


def test_f14_an_upload_is_refused_while_the_store_is_away(scene: Scene) -> None:
    scene.store.faults = Faults(resets=True)
    answer = scene.http.post("/v1/files?purpose=dataset", content=b"PK\x03\x04" + bytes(1000))
    assert (answer.status_code, answer.json()["code"]) == (503, "artifact_store_unavailable")
    assert scene.http.get("/readyz").json()["storage"] is False


def test_f15_an_input_that_arrives_damaged_once_is_fetched_again(scene: Scene) -> None:
    scene.store.faults = Faults(spoiled=b"classifier", spoiled_times=1)  # a node's name in the model
    after = scene.finished(scene.submit())
    assert scene.store.spoilt == 1
    assert after["status"] == "succeeded"


def test_f15_an_input_that_always_arrives_damaged_is_never_used(scene: Scene) -> None:
    scene.store.faults = Faults(spoiled=b"classifier")
    job_id = scene.submit()
    after = scene.finished(job_id)
    assert scene.store.spoilt >= 2
    assert (after["status"], after["error"]["code"]) == ("failed", "artifact_store_unavailable")
    assert scene.artifacts(job_id) == []


def test_f16_an_upload_that_is_cut_at_every_tenth_goes_on_where_it_stopped(scene: Scene) -> None:
    content = tiny.npz_bytes(image=tiny.images(70_000))  # 70,000 * 64 * 4 bytes = 17.9 MB: a part of 16 MiB and a rest
    upload = _begun_upload(scene, content)
    first, rest = content[: upload["part_bytes"]], content[upload["part_bytes"] :]
    address = f"/v1/uploads/{upload['id']}/parts"
    scene.http.put(f"{address}/2", content=rest, headers=OCTETS).raise_for_status()
    with httpx2.Client(base_url=f"http://{scene.api.address}", headers=scene.http.headers, timeout=30) as cut:
        for tenth in range(1, 10):
            scene.api.faults = Faults(request_limit_bytes=len(first) * tenth // 10)
            with pytest.raises(httpx2.TransportError):
                cut.put(f"{address}/1", content=first, headers=OCTETS)
            assert scene.http.get(f"/v1/uploads/{upload['id']}").json()["missing"] == [1]
        scene.api.faults = HEALTHY
        cut.put(f"{address}/1", content=first, headers=OCTETS).raise_for_status()
    assert _completed(scene, upload["id"], content)["status"] == "completed"


def test_f16_a_sender_that_falls_silent_holds_up_nobody(scene: Scene) -> None:
    content = tiny.npz_bytes(image=tiny.images(2_000, seed=3))
    upload = _begun_upload(scene, content)
    address = f"/v1/uploads/{upload['id']}/parts/1"
    with socket.create_connection(tuple(scene.api.upstream.split(":"))) as silent:
        head = f"PUT {address} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(content)}\r\n"
        head += (
            f"Authorization: {scene.http.headers['Authorization']}\r\nContent-Type: application/octet-stream\r\n\r\n"
        )
        silent.sendall(head.encode() + content[:1000])
        asked = time.monotonic()
        scene.http.put(address, content=content, headers=OCTETS).raise_for_status()
        assert time.monotonic() - asked < 5.0
        silent.settimeout(IDLE_SECONDS + 5)
        assert silent.recv(100).startswith(b"HTTP/1.1 408")
    assert _completed(scene, upload["id"], content)["status"] == "completed"


def _begun_upload(scene: Scene, content: bytes) -> dict[str, Any]:
    announced = {"filename": "cut.npz", "bytes": len(content), "purpose": "dataset"}
    found: dict[str, Any] = scene.http.post("/v1/uploads", json=announced).raise_for_status().json()
    return found


def _completed(scene: Scene, upload_id: str, content: bytes) -> dict[str, Any]:
    here = f"/v1/uploads/{upload_id}"
    parts = [{k: part[k] for k in ("number", "etag")} for part in scene.http.get(here).json()["received"]]
    body = {"parts": parts, "sha256": hashlib.sha256(content).hexdigest()}
    scene.http.post(f"{here}/complete", json=body).raise_for_status()
    found: dict[str, Any] = scene.http.get(here, headers={"Prefer": "wait=30"}).json()
    return found


def test_a_slow_and_sliced_store_is_only_slow(scene: Scene) -> None:
    scene.store.faults = Faults(latency_seconds=0.02, slice_bytes=1000)
    after = scene.finished(scene.submit())
    assert (after["status"], after["attempt"]) == ("succeeded", 1)


def test_f21_two_reapers_at_once_and_one_that_dies_take_each_job_once(scene: Scene) -> None:
    """A second API process reaps as well; its connections are cut in the middle of it, again and again."""
    jobs = [scene.submit(benchmark=LONG) for _ in range(2)]
    for job_id in jobs:
        scene.in_attempt(job_id, 1)
    slow = "AFTER UPDATE ON jobs FOR EACH ROW WHEN (OLD.status = 'running' AND NEW.status = 'queued')"
    with scene.trigger(when=slow, body="PERFORM pg_sleep(0.5);"):
        _kill(scene, Role.WORKER)
        until(lambda: scene.sql("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"))
        scene.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
        for job_id in jobs:
            scene.in_attempt(job_id, 2)
    for job_id in jobs:
        assert scene.steps(job_id) == ["queued", "running", "queued", "running"]

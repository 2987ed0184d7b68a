"""What a client says to the service, step by step, over plain HTTP."""

import hashlib
import time
from collections.abc import Callable
from typing import Any

import httpx2

from tests.e2e import tiny

PATIENCE_SECONDS = 300.0
"""Of a client that wants an end: a busy machine may need minutes for what takes seconds."""


_MADE: dict[tuple[str, str, str], str] = {}
"""Ids by key, which no two services share, kind and digest. A service that was started again has them still."""


def upload(http: httpx2.Client, content: bytes, purpose: str, name: str = "file") -> httpx2.Response:
    return http.post(
        "/v1/files",
        params={"purpose": purpose, "filename": name},
        content=content,
        headers={"Content-Type": "application/octet-stream"},
    )


def resource(http: httpx2.Client, content: bytes, kind: str) -> dict[str, Any]:
    """Upload, create and wait for the inspection. `kind` is models or datasets."""
    uploaded = upload(http, content, kind.removesuffix("s"))
    assert uploaded.status_code == 201, uploaded.text
    made = http.post(f"/v1/{kind}", json={"file_id": uploaded.json()["id"]})
    assert made.status_code == 201, made.text
    return awaited(http, made.headers["Location"], lambda found: found["status"] != "inspecting")


def job_body(http: httpx2.Client, **changes: Any) -> dict[str, Any]:
    """A request for a quick job on the tiny model, ready to be sent or spoiled.

    All requests of a tenant name the same model and data: a test that changes or removes them brings its own.
    """
    body: dict[str, Any] = {"benchmark": tiny.QUICK_BENCHMARK, **changes}
    if "model_id" not in body:
        body["model_id"] = made_once(http, tiny.model_bytes(), "models")
    if "calibration_dataset_id" not in body:
        body["calibration_dataset_id"] = made_once(http, tiny.calibration_bytes(), "datasets")
    return body


def made_once(http: httpx2.Client, content: bytes, kind: str) -> str:
    """The id of a resource that many tests may share. An inspection is a process of its own, which takes seconds."""
    known = (http.headers["Authorization"], kind, hashlib.sha256(content).hexdigest())
    if known not in _MADE:
        _MADE[known] = resource(http, content, kind)["id"]
    return _MADE[known]


def finished(http: httpx2.Client, job_id: str) -> dict[str, Any]:
    """Wait until a job is done."""
    return awaited(http, f"/v1/jobs/{job_id}", lambda found: bool(found["done"]))


def awaited(http: httpx2.Client, path: str, is_there: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Ask until it is there; a service whose database is away for a moment says 503 and is asked again."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        response = http.get(path, headers={"Prefer": "wait=30"})
        if response.status_code == 503:
            is_problem(response, 503, "service_unavailable")
            time.sleep(float(response.headers["Retry-After"]))
            continue
        assert response.status_code == 200, response.text
        found: dict[str, Any] = response.json()
        if is_there(found):
            return found
    raise AssertionError(f"it did not come to its end: {response.text}")


def is_problem(response: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    """The problem of a response, after checking that it has everything that a problem must have."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = response.json()
    assert found["code"] == code, found
    assert found["status"] == status
    assert found["title"]
    assert found["detail"]
    assert found["request_id"] == response.headers["x-request-id"]
    leaks_nothing(response.text)
    return found


def leaks_nothing(text: str) -> None:
    """No path, statement, traceback or secret of ours."""
    for ours in ("/tmp/", "Traceback", "site-packages", "SELECT ", "lowbit_app", ".secret", "psycopg"):
        assert ours not in text, text

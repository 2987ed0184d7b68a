"""Quotas hold when many requests want the last place at once: as many succeed as there were places, never one more."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx2

from tests.e2e.conversation import is_problem, upload
from tests.servers.api import Api

AT_ONCE = 12
MODEL = b"\x08\x08" + bytes(998)
"""Begins as an ONNX file does: the field `ir_version`. No worker looks at it here."""


def answers(api: Api, key: str, ask: Callable[[httpx2.Client], httpx2.Response]) -> Counter[tuple[int, str]]:
    """How often each status and code came back when everybody asked at once."""

    def one(_: int) -> tuple[int, str]:
        with api.client(key) as client:
            response = ask(client)
            if response.status_code == 429:
                assert int(response.headers["Retry-After"]) > 0
            return response.status_code, response.json().get("code", "")

    with ThreadPoolExecutor(AT_ONCE) as threads:
        return Counter(threads.map(one, range(AT_ONCE)))


def test_no_more_jobs_wait_than_may(api: Api) -> None:
    tenant_id, key = api.tenant("queue", max_queued_jobs=3)
    with api.client(key) as client:
        file_id = upload(client, MODEL, "model").json()["id"]
        counted = answers(api, key, lambda c: c.post("/v1/models", json={"file_id": file_id}))
        assert counted == {(201, ""): 3, (429, "concurrency_limit"): AT_ONCE - 3}
        assert client.get("/v1/me").json()["usage"]["queued_jobs"] == 3
        assert len(client.get("/v1/models").json()["data"]) == 3  # what was refused left nothing
    with api.client() as admin:  # and room that is made is used
        admin.patch(f"/v1/admin/tenants/{tenant_id}", json={"max_queued_jobs": 4})
    with api.client(key) as client:
        assert client.post("/v1/models", json={"file_id": file_id}).status_code == 201


def test_no_more_bytes_are_stored_than_may_be(api: Api) -> None:
    _, key = api.tenant("bytes", max_stored_bytes=len(MODEL) * 2 + len(MODEL) // 2)
    counted = answers(api, key, lambda c: upload(c, MODEL, "model"))
    assert counted == {(201, ""): 2, (507, "quota_exceeded"): AT_ONCE - 2}
    with api.client(key) as client:
        assert client.get("/v1/me").json()["usage"]["stored_bytes"] == 2 * len(MODEL)


def test_an_announced_upload_takes_its_room_at_once(api: Api) -> None:
    _, key = api.tenant("announced", max_stored_bytes=1_000, max_open_uploads=2)
    with api.client(key) as client:
        wanted = {"filename": "m.onnx", "purpose": "model", "bytes": 600}
        made = client.post("/v1/uploads", json=wanted)
        assert made.status_code == 201, made.text
        is_problem(client.post("/v1/uploads", json=wanted), 507, "quota_exceeded")
        assert client.delete(f"/v1/uploads/{made.json()['id']}").status_code == 204
        assert client.post("/v1/uploads", json=wanted).status_code == 201


def test_no_more_uploads_are_open_than_may_be(api: Api) -> None:
    _, key = api.tenant("uploads", max_open_uploads=2)
    wanted = {"filename": "m.onnx", "purpose": "model", "bytes": 600}
    counted = answers(api, key, lambda c: c.post("/v1/uploads", json=wanted))
    assert counted == {(201, ""): 2, (429, "concurrency_limit"): AT_ONCE - 2}


def test_one_tenants_use_is_not_anothers(api: Api) -> None:
    _, full = api.tenant("full", max_stored_bytes=0)
    _, empty = api.tenant("empty", max_stored_bytes=len(MODEL))
    with api.client(full) as client:
        is_problem(upload(client, MODEL, "model"), 507, "quota_exceeded")
    with api.client(empty) as client:
        assert upload(client, MODEL, "model").status_code == 201

"""Uploads in parts over HTTP, on both stores where the store has a say."""

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from lowbit import Client
from sqlalchemy import text

from app.tables import DEFAULT_TENANT_ID
from tests.app.uploads.conftest import IDLE_SECONDS, Uploading
from tests.app.uploads.files import (
    MEBIBYTE,
    PART_BYTES,
    Content,
    begin,
    complete,
    content_digest,
    put,
    put_where_told,
    state,
)
from tests.e2e.conversation import is_problem

THREE_PARTS = Content.of(2 * PART_BYTES + 1001)
ONE_PART = Content.of(100_000, seed=1)


def test_parts_in_any_order_become_one_verified_file(on_either: Uploading) -> None:
    http = on_either.http
    upload = begin(http, THREE_PARTS)
    assert (upload["status"], upload["part_bytes"], upload["part_count"]) == ("pending", PART_BYTES, 3)
    with ThreadPoolExecutor(2) as pool:
        later = [pool.submit(put_where_told, http, upload, n, THREE_PARTS.part(n)) for n in (3, 1)]
        etags = {n: one.result() for n, one in zip((3, 1), later, strict=True)}
    seen = state(http, upload)
    assert seen["missing"] == [2]
    assert {part["number"]: (part["bytes"], part["etag"]) for part in seen["received"]} == {
        1: (PART_BYTES, etags[1]),
        3: (1001, etags[3]),
    }
    found = is_problem(complete(http, upload, etags, THREE_PARTS.sha256), 409, "upload_parts_missing")
    assert "2" in found["detail"]
    etags[2] = put_where_told(http, upload, 2, THREE_PARTS.part(2))

    first = complete(http, upload, etags, THREE_PARTS.sha256)
    again = complete(http, upload, etags, THREE_PARTS.sha256)
    assert (first.status_code, first.json()["status"]) == (202, "verifying")
    assert (again.status_code, again.json()) == (202, first.json())
    on_either.verify()

    done = state(http, upload)
    assert done["status"] == "completed"
    assert (done["file"]["format"], done["file"]["sha256"]) == ("onnx", THREE_PARTS.sha256)
    assert complete(http, upload, etags, THREE_PARTS.sha256).status_code == 200
    assert http.get(done["file"]["links"]["content"]).content == THREE_PARTS.octets
    assert upload["id"] not in on_either.staged()
    is_problem(put(http, upload, 1, THREE_PARTS.part(1)), 409, "upload_complete")
    is_problem(http.delete(upload["links"]["self"]), 409, "upload_complete")


def test_wrong_bytes_are_found_in_the_whole(on_either: Uploading) -> None:
    http = on_either.http
    upload = begin(http, ONE_PART)
    etags = {1: put_where_told(http, upload, 1, Content.of(100_000, seed=2).octets)}
    assert complete(http, upload, etags, ONE_PART.sha256).status_code == 202
    on_either.verify()
    failed = state(http, upload)
    assert (failed["status"], failed["problem"]["code"], failed["file"]) == ("failed", "checksum_mismatch", None)
    assert upload["id"] not in on_either.staged()


def test_a_file_of_another_format_is_refused_though_its_parts_went_past_us(on_either: Uploading) -> None:
    http = on_either.http
    pickle = Content(b"\x80\x04" + bytes(5000))
    upload = begin(http, pickle)
    if upload["parts"][0]["url"].startswith("/"):
        is_problem(put(http, upload, 1, pickle.octets), 415, "model_format_not_supported")
        return
    etags = {1: put_where_told(http, upload, 1, pickle.octets)}
    complete(http, upload, etags, pickle.sha256)
    on_either.verify()
    assert state(http, upload)["problem"]["code"] == "model_format_not_supported"


def test_an_abort_frees_the_parts(on_either: Uploading) -> None:
    http = on_either.http
    upload = begin(http, ONE_PART)
    put_where_told(http, upload, 1, ONE_PART.octets)
    assert upload["id"] in on_either.staged()
    for _ in range(2):
        assert http.delete(upload["links"]["self"]).status_code == 204
    assert upload["id"] not in on_either.staged()
    assert state(http, upload)["status"] == "aborted"
    is_problem(put(http, upload, 1, ONE_PART.octets), 409, "upload_complete")
    is_problem(http.post(upload["links"]["part_urls"], json={"numbers": [1]}), 409, "upload_complete")


def test_two_puts_of_one_part_leave_one_whole_part(on_either: Uploading) -> None:
    http = on_either.http
    one, other = Content.of(PART_BYTES, seed=3), Content.of(PART_BYTES, seed=4)
    upload = begin(http, one)
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda content: put(http, upload, 1, content.octets), (one, other)))
    by_etag = {answer.json()["etag"]: content for answer, content in zip(answers, (one, other), strict=True)}
    (received,) = state(http, upload)["received"]
    winner = by_etag[received["etag"]]
    assert complete(http, upload, {1: received["etag"]}, winner.sha256).status_code == 202
    on_either.verify()
    assert http.get(state(http, upload)["file"]["links"]["content"]).content == winner.octets


def test_a_file_that_is_here_is_not_sent_again(uploading: Uploading) -> None:
    http = uploading.http
    content = Content.of(2000, seed=5)
    sent = http.post("/v1/files?purpose=model&filename=a.onnx", content=content.octets)
    assert sent.status_code == 201
    twice = http.post("/v1/files?purpose=model&filename=b.onnx", content=content.octets)
    body = {"filename": "c.onnx", "bytes": 2000, "purpose": "model", "sha256": content.sha256}
    found = http.post("/v1/uploads", json=body)
    assert (found.status_code, found.json()["status"], found.json()["deduplicated"]) == (200, "completed", True)
    file = found.json()["file"]
    assert (file["filename"], file["sha256"]) == ("c.onnx", content.sha256)
    assert len({sent.json()["id"], twice.json()["id"], file["id"]}) == 3
    # the other names may go: the object stays
    for name in (sent, twice):
        assert http.delete(f"/v1/files/{name.json()['id']}").status_code == 204
    assert http.get(file["links"]["content"]).content == content.octets
    # nothing is said of a file of another size, purpose or tenant
    assert http.post("/v1/uploads", json={**body, "bytes": 2001}).status_code == 201
    assert http.post("/v1/uploads", json={**body, "purpose": "dataset"}).status_code == 201
    with uploading.api.client(uploading.api.tenant("not deduplicated")[1]) as elsewhere:
        assert elsewhere.post("/v1/uploads", json=body).status_code == 201


def test_a_file_whose_object_was_lost_is_mended_by_sending_it(uploading: Uploading) -> None:
    http = uploading.http
    content = Content.of(2000, seed=11)
    file = http.post("/v1/files?purpose=model", content=content.octets).json()
    uploading.crew.store.delete(tenant_id=DEFAULT_TENANT_ID, sha256=content.sha256)
    upload = begin(http, content, sha256=content.sha256)
    etags = {1: put(http, upload, 1, content.octets).json()["etag"]}
    complete(http, upload, etags, content.sha256)
    uploading.verify()
    assert http.get(file["links"]["content"]).content == content.octets


def test_another_tenants_upload_is_as_good_as_missing(uploading: Uploading) -> None:
    upload = begin(uploading.http, ONE_PART)
    missing = {**upload, "links": {k: v.replace(upload["id"], "upl_" + "0" * 32) for k, v in upload["links"].items()}}
    with uploading.api.client(uploading.api.tenant("upload thief")[1]) as thief:

        def answers(seen: dict[str, Any]) -> list[tuple[int, Any]]:
            tried = [
                thief.get(seen["links"]["self"]),
                put(thief, seen, 1, ONE_PART.octets),
                thief.post(seen["links"]["part_urls"], json={"numbers": [1]}),
                complete(thief, seen, {1: "x"}, ONE_PART.sha256),
                thief.delete(seen["links"]["self"]),
            ]
            return [(a.status_code, {**a.json(), "request_id": "", "instance": ""}) for a in tried]

        assert answers(upload) == answers(missing)
        assert {status for status, _ in answers(upload)} == {404}
        assert thief.get("/v1/uploads").json()["data"] == []
    assert upload["id"] in [seen["id"] for seen in uploading.http.get("/v1/uploads").json()["data"]]


def test_a_part_is_held_against_its_digest_and_its_length(uploading: Uploading) -> None:
    http = uploading.http
    upload = begin(http, THREE_PARTS)
    part = THREE_PARTS.part(3)
    wrong = put(http, upload, 3, part, **{"Content-Digest": content_digest(b"other")})
    is_problem(wrong, 400, "checksum_mismatch")
    is_problem(put(http, upload, 3, part[:-1]), 422, "upload_part_invalid")
    is_problem(put(http, upload, 3, part + b"x"), 422, "upload_part_invalid")
    for number in (4, 10_000):
        assert is_problem(put(http, upload, number, part), 422, "upload_part_invalid")["hint"]
    for number in (0, -1, 10_001, 10**300):  # no upload has such parts
        is_problem(put(http, upload, number, part), 422, "validation_error")
    chunked = http.put(f"{upload['links']['self']}/parts/3", content=iter([part]))
    is_problem(chunked, 411, "length_required")
    is_problem(http.post(upload["links"]["part_urls"], json={"numbers": [4]}), 422, "upload_part_invalid")
    assert state(http, upload)["missing"] == [1, 2, 3]
    assert put(http, upload, 3, part, **{"Content-Digest": content_digest(part)}).status_code == 200


def test_a_completion_names_the_parts_that_are_there(uploading: Uploading) -> None:
    http = uploading.http
    upload = begin(http, ONE_PART)
    etag = put(http, upload, 1, ONE_PART.octets).json()["etag"]
    is_problem(complete(http, upload, {1: "other"}, ONE_PART.sha256), 422, "upload_part_invalid")
    is_problem(complete(http, upload, {1: etag, 2: etag}, ONE_PART.sha256), 422, "upload_part_invalid")
    nameless = http.post(upload["links"]["complete"], json={"parts": [{"number": 1, "etag": etag}]})
    is_problem(nameless, 422, "validation_error")
    assert complete(http, upload, {1: etag}, ONE_PART.sha256).status_code == 202
    is_problem(complete(http, upload, {1: etag}, "0" * 64), 409, "upload_complete")
    uploading.verify()


@pytest.mark.parametrize(
    ("size", "status", "code"), [(0, 422, "file_empty"), (10**9 + 1, 413, "upload_too_large"), (10**9, 201, None)]
)
def test_sizes_are_judged_before_anything_is_sent(
    uploading: Uploading, size: int, status: int, code: str | None
) -> None:
    made = uploading.http.post("/v1/uploads", json={"filename": "m", "bytes": size, "purpose": "model"})
    if code is None:
        assert made.status_code == status
    else:
        is_problem(made, status, code)


@contextmanager
def _half_sent(uploading: Uploading, upload: dict[str, Any], octets: bytes, sent_bytes: int) -> Iterator[socket.socket]:
    """A PUT of part 1 that stops after some bytes and stays open."""
    where = urlsplit(uploading.api.url)
    with socket.create_connection((where.hostname or "", where.port or 0)) as connection:
        head = (
            f"PUT {upload['links']['self']}/parts/1 HTTP/1.1\r\nHost: {where.netloc}\r\n"
            f"Authorization: Bearer {uploading.api.key}\r\nContent-Length: {len(octets)}\r\n\r\n"
        )
        connection.sendall(head.encode() + octets[:sent_bytes])
        yield connection


def test_an_upload_goes_on_after_a_cut_at_any_byte(on_either: Uploading) -> None:
    http = on_either.http
    content = Content.of(PART_BYTES + 17, seed=6)
    upload = begin(http, content)
    etags = {2: put_where_told(http, upload, 2, content.part(2))}
    for sent_bytes in (0, 511, MEBIBYTE + 1, PART_BYTES - 1):
        with _half_sent(on_either, upload, content.part(1), sent_bytes):
            pass
    assert state(http, upload)["missing"] == [1]
    etags[1] = put_where_told(http, upload, 1, content.part(1))
    complete(http, upload, etags, content.sha256)
    on_either.verify()
    assert state(http, upload)["file"]["sha256"] == content.sha256


@pytest.mark.pace
def test_a_half_open_connection_blocks_nobody_and_is_ended(uploading: Uploading) -> None:
    http = uploading.http
    content = Content.of(PART_BYTES, seed=7)
    upload = begin(http, content)
    with _half_sent(uploading, upload, content.octets, 2 * MEBIBYTE) as silent:
        started = time.monotonic()
        etags = {1: put(http, upload, 1, content.octets).json()["etag"]}
        assert complete(http, upload, etags, content.sha256).status_code == 202
        assert time.monotonic() - started < 5
        silent.settimeout(IDLE_SECONDS + 5)
        answer = silent.recv(65536)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"upload_stalled" in answer
    uploading.verify()
    assert state(http, upload)["file"]["sha256"] == content.sha256


def test_a_slow_part_is_not_a_silent_one(uploading: Uploading) -> None:
    """Four pauses of half the allowed silence: together twice as long as it."""
    content = Content.of(5, seed=8)
    upload = begin(uploading.http, content)
    with _half_sent(uploading, upload, content.octets, 1) as slow:
        for position in range(1, 5):
            threading.Event().wait(IDLE_SECONDS / 2)
            slow.sendall(content.octets[position : position + 1])
        assert slow.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_the_client_uses_the_addresses_of_either_store(
    on_either: Uploading, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    on_s3 = on_either.settings.require_storage_url().startswith("s3")
    content = Content.of(2 * PART_BYTES + 7, seed=90 + on_s3)  # the stores share a database, which would know it
    path = tmp_path / "model.onnx"
    path.write_bytes(content.octets)
    with Client(on_either.api.url, on_either.api.key) as client, ThreadPoolExecutor(1) as pool:
        sending = pool.submit(client.files.upload, path, "model")
        while not sending.done():
            on_either.verify()
            threading.Event().wait(0.05)
        file = sending.result()
    assert (file["sha256"], file["filename"]) == (content.sha256, "model.onnx")
    assert on_either.http.get(file["links"]["content"]).content == content.octets


def test_an_upload_whose_verification_is_given_up_has_failed(uploading: Uploading) -> None:
    http = uploading.http
    content = Content.of(3000, seed=10)
    upload = begin(http, content)
    etags = {1: put(http, upload, 1, content.octets).json()["etag"]}
    complete(http, upload, etags, content.sha256)
    lost = text("""
        UPDATE jobs SET status = 'running', lease_token = 1, lease_owner = 'somebody', losses = max_attempts,
            lease_expires_at = clock_timestamp() - interval '1 second' WHERE upload_id = :upload
        """)
    with uploading.crew.sessions.begin() as session:
        session.execute(lost, {"upload": upload["id"]})
    # the API's own loop takes it from the worker that fell silent
    failed = http.get(upload["links"]["self"], headers={"Prefer": "wait=30"}).json()
    assert (failed["status"], failed["problem"]["code"]) == ("failed", "worker_lost")

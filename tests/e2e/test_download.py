"""Downloads as HTTP clients expect them: ranges, conditions, digests (RFC 9110, RFC 9530)."""

import base64
import hashlib
import time

import httpx2
import pytest

from tests.e2e import tiny
from tests.e2e.conversation import is_problem, upload

CONTENT = tiny.model_bytes()
MANY = "bytes=" + ",".join(f"{start}-" for start in range(10_000))
"""Merging so many took time that grew with their square, in a framework below."""


@pytest.fixture(scope="module")
def address(http: httpx2.Client) -> str:
    name = 'my "model"; filename*=x\r\n.onnx'
    return str(upload(http, CONTENT, "model", name=name).json()["links"]["content"])


def test_the_whole_content_comes_with_its_digest(http: httpx2.Client, address: str) -> None:
    response = http.get(address)
    assert response.content == CONTENT
    digest = hashlib.sha256(CONTENT)
    assert response.headers["etag"] == f'"sha256-{digest.hexdigest()}"'
    assert response.headers["repr-digest"] == f"sha-256=:{base64.b64encode(digest.digest()).decode()}:"
    assert response.headers["accept-ranges"] == "bytes"
    assert response.headers["content-disposition"].startswith("attachment; filename*=UTF-8''")
    assert response.headers["x-content-type-options"] == "nosniff"


def test_head_says_the_same_without_the_content(http: httpx2.Client, address: str) -> None:
    whole, head = http.get(address), http.head(address)
    assert head.status_code == 200
    assert head.content == b""
    for name in ("content-length", "etag", "repr-digest", "content-type", "content-disposition"):
        assert head.headers[name] == whole.headers[name]


@pytest.mark.parametrize(
    ("wanted", "start", "end"),
    [
        ("bytes=0-9", 0, 10),
        ("bytes=10-", 10, len(CONTENT)),
        ("bytes=-7", len(CONTENT) - 7, len(CONTENT)),
        (f"bytes=5-{10**9}", 5, len(CONTENT)),
        ("bytes=-999999999", 0, len(CONTENT)),
    ],
)
def test_a_range_is_served(http: httpx2.Client, address: str, wanted: str, start: int, end: int) -> None:
    response = http.get(address, headers={"Range": wanted})
    assert response.status_code == 206
    assert response.content == CONTENT[start:end]
    assert response.headers["content-range"] == f"bytes {start}-{end - 1}/{len(CONTENT)}"


def test_head_ignores_ranges(http: httpx2.Client, address: str) -> None:
    head = http.head(address, headers={"Range": "bytes=0-9"})
    assert (head.status_code, head.headers["content-length"]) == (200, str(len(CONTENT)))
    assert "content-range" not in head.headers


@pytest.mark.pace
@pytest.mark.parametrize(
    "wanted", ["bytes=0-1,5-6", "bytes=9-3", "items=0-1", "bytes=-", "bytes=a-b", pytest.param(MANY, id="many")]
)
def test_ranges_that_are_not_served_get_the_whole(http: httpx2.Client, address: str, wanted: str) -> None:
    started = time.monotonic()
    response = http.get(address, headers={"Range": wanted})
    assert (response.status_code, len(response.content)) == (200, len(CONTENT))
    assert time.monotonic() - started < 2


def test_a_range_beyond_the_end_cannot_be_satisfied(http: httpx2.Client, address: str) -> None:
    for wanted in (f"bytes={len(CONTENT)}-", f"bytes={len(CONTENT) + 5}-", "bytes=-0"):
        response = http.get(address, headers={"Range": wanted})
        is_problem(response, 416, "range_not_satisfiable")
        assert response.headers["content-range"] == f"bytes */{len(CONTENT)}"


def test_conditions_are_honoured(http: httpx2.Client, address: str) -> None:
    etag = http.head(address).headers["etag"]
    unchanged = http.get(address, headers={"If-None-Match": f'"other", {etag}'})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert http.get(address, headers={"If-None-Match": '"other"'}).status_code == 200
    assert http.get(address, headers={"If-Match": etag}).status_code == 200
    is_problem(http.get(address, headers={"If-Match": '"other"'}), 412, "precondition_failed")
    weak = f"W/{etag}"
    assert http.get(address, headers={"If-None-Match": weak}).status_code == 304
    is_problem(http.get(address, headers={"If-Match": weak}), 412, "precondition_failed")
    both = http.get(address, headers={"If-Match": '"other"', "If-None-Match": etag})
    is_problem(both, 412, "precondition_failed")
    resumed = http.get(address, headers={"Range": "bytes=3-", "If-Range": etag})
    assert (resumed.status_code, resumed.content) == (206, CONTENT[3:])
    changed = http.get(address, headers={"Range": "bytes=3-", "If-Range": '"other"'})
    assert (changed.status_code, changed.content) == (200, CONTENT)

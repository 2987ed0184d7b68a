"""Files worth sending in parts, and the requests that send them."""

import base64
import hashlib
import random
from dataclasses import dataclass
from typing import Any

import httpx2

MEBIBYTE = 1024 * 1024
PART_BYTES = 5 * MEBIBYTE
"""The least that S3 takes; the API under test is told so too. Its own least is larger."""
ONNX_HEAD = b"\x08\x09"
"""`ir_version` 9: enough for the look at the first bytes, which is all that an upload is judged by."""


@dataclass(frozen=True)
class Content:
    octets: bytes

    @classmethod
    def of(cls, size: int, *, seed: int = 0) -> "Content":
        return cls(ONNX_HEAD + random.Random(seed).randbytes(size - len(ONNX_HEAD)))

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.octets).hexdigest()

    def part(self, number: int) -> bytes:
        return self.octets[(number - 1) * PART_BYTES : number * PART_BYTES]


def begin(http: httpx2.Client, content: Content, **changes: Any) -> dict[str, Any]:
    body = {"filename": "model.onnx", "bytes": len(content.octets), "purpose": "model", **changes}
    made = http.post("/v1/uploads", json=body)
    assert made.status_code == 201, made.text
    assert made.headers["Location"] == made.json()["links"]["self"]
    found: dict[str, Any] = made.json()
    return found


def put(http: httpx2.Client, upload: dict[str, Any], number: int, octets: bytes, **headers: str) -> httpx2.Response:
    """Through the API, whatever the store."""
    return http.put(f"{upload['links']['self']}/parts/{number}", content=octets, headers=headers)


def put_where_told(http: httpx2.Client, upload: dict[str, Any], number: int, octets: bytes) -> str:
    """Where the upload says, with the key only if that is the service. The part's etag."""
    (part,) = [part for part in upload["parts"] if part["number"] == number]
    if part["url"].startswith("/"):
        answer = http.put(part["url"], content=octets, headers=part["headers"])
    else:
        answer = httpx2.put(part["url"], content=octets, headers=part["headers"], verify=False)
    assert answer.status_code == 200, answer.text
    return answer.headers["ETag"].strip('"')


def complete(http: httpx2.Client, upload: dict[str, Any], etags: dict[int, str], sha256: str) -> httpx2.Response:
    parts = [{"number": number, "etag": etags[number]} for number in sorted(etags)]
    return http.post(upload["links"]["complete"], json={"parts": parts, "sha256": sha256})


def state(http: httpx2.Client, upload: dict[str, Any]) -> dict[str, Any]:
    seen = http.get(upload["links"]["self"])
    assert seen.status_code == 200, seen.text
    found: dict[str, Any] = seen.json()
    return found


def content_digest(octets: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(octets).digest()).decode()}:"

"""The verbs of resumable uploads. Each may be repeated after a lost answer."""

import random
import time
from collections.abc import Callable
from typing import Any, Literal, TypedDict, TypeVar, cast

from lowbit.errors import NoConnection, ProblemError, RateLimited
from lowbit.patience import LONGEST_WAIT_SECONDS
from lowbit.resources import File, Links, Purpose, RawProblem
from lowbit.wire import Call, Wire, address

T = TypeVar("T")

PAUSES_SECONDS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0)
"""Half a minute in all: a service that is started again is back by then."""

URLS_AT_ONCE = 100


class PartUrl(TypedDict):
    number: int
    url: str
    headers: dict[str, str]
    expires_at: str


class Part(TypedDict):
    number: int
    bytes: int
    etag: str


class Upload(TypedDict):
    id: str
    filename: str
    purpose: Purpose
    bytes: int
    sha256: str | None
    part_bytes: int
    part_count: int
    status: Literal["pending", "verifying", "completed", "failed", "aborted", "expired"]
    deduplicated: bool
    file: File | None
    problem: RawProblem | None
    created_at: str
    expires_at: str
    links: Links


class UploadCreated(Upload):
    parts: list[PartUrl]


class UploadProgress(Upload):
    received: list[Part]
    missing: list[int]


class Uploads:
    def __init__(self, wire: Wire) -> None:
        self.wire = wire

    def create(self, filename: str, size_bytes: int, purpose: Purpose, sha256: str | None = None) -> UploadCreated:
        """Begin an upload. With a digest that the service has a file of, the upload is complete at once."""
        body: dict[str, object] = {"filename": filename, "bytes": size_bytes, "purpose": purpose}
        if sha256 is not None:
            body["sha256"] = sha256
        return cast(UploadCreated, self.wire.post("/v1/uploads", body))

    def get(self, upload_id: str, *, wait_seconds: float = 0.0) -> UploadProgress:
        """The present state; with `wait_seconds`, once it is verified or that time is over."""
        headers = {"Prefer": f"wait={int(wait_seconds)}"} if wait_seconds >= 1 else {}
        call = Call("GET", address("uploads", upload_id), headers=headers, wait_seconds=wait_seconds)
        return cast(UploadProgress, patiently(lambda: self.wire.json(call)))

    def part_urls(self, upload_id: str, numbers: list[int]) -> list[PartUrl]:
        """Fresh addresses, of up to `URLS_AT_ONCE` parts."""
        path = address("uploads", upload_id, "part-urls")
        answer = patiently(lambda: self.wire.post(path, {"numbers": numbers}))
        return cast(list[PartUrl], cast(dict[str, Any], answer)["parts"])

    def complete(self, upload_id: str, parts: list[dict[str, object]], sha256: str) -> Upload:
        body = {"parts": parts, "sha256": sha256}
        path = address("uploads", upload_id, "complete")
        return cast(Upload, patiently(lambda: self.wire.post(path, body)))

    def verified(self, upload_id: str) -> UploadProgress:
        """Wait until the service has compared the digest. Its own patience ends every verification."""
        upload = self.get(upload_id)
        while upload["status"] == "verifying":
            upload = self.get(upload_id, wait_seconds=LONGEST_WAIT_SECONDS)
        return upload

    def abort(self, upload_id: str) -> None:
        self.wire.delete(address("uploads", upload_id))


def patiently(send: Callable[[], T], *, pause: Callable[[float], object] = time.sleep) -> T:
    """Send again after a lost connection, or when the service asks for it, with growing pauses."""
    for seconds in PAUSES_SECONDS:
        try:
            return send()
        except (NoConnection, ProblemError) as error:
            if not worth_repeating(error):
                raise
            asked = error.retry_after_seconds if isinstance(error, RateLimited) else None
            pause(max(asked or 0.0, seconds * random.uniform(0.5, 1.0)))  # noqa: S311 - spreads requests, hides nothing
    return send()


def worth_repeating(error: NoConnection | ProblemError) -> bool:
    """The service, the store or the network may be better soon; what is wrong with the request stays wrong."""
    return isinstance(error, NoConnection) or error.status in {408, 425, 429} or error.status >= 500

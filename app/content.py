"""Serves stored bytes: strong ETag, 304, HEAD, single ranges, Repr-Digest (RFC 9110, RFC 9530).

The content never changes under an id, and its sha256 is its ETag, so a download can be resumed and checked.
"""

import base64
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple
from urllib.parse import quote

import anyio
import anyio.to_thread
from fastapi import Request
from fastapi.responses import Response, StreamingResponse

from app.contracts.problem import problem, refuse
from app.problems import answer, documented
from app.storage import ObjectStore
from app.storage.errors import ObjectMissing, StorageError

CONTENT_RESPONSES: dict[int | str, dict[str, Any]] = {
    **documented("not_found", "precondition_failed", "range_not_satisfiable", "artifact_store_unavailable"),
    200: {
        "content": {
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            "application/json": {"schema": {"description": "A job's report."}},
        }
    },
    206: {"description": "A range of the content."},
    304: {"description": "The content is the one named by If-None-Match."},
}


class Stored(NamedTuple):
    """What is needed to send one object."""

    tenant_id: str
    sha256: str
    bytes: int
    filename: str
    media_type: str = "application/octet-stream"

    @property
    def etag(self) -> str:
        return f'"sha256-{self.sha256}"'


class _Slice(NamedTuple):
    start: int
    length: int


async def serve(request: Request, store: ObjectStore, stored: Stored) -> Response:
    """Answer GET and HEAD, whole or in part, for one stored object."""
    headers = _headers(stored)
    wanted_match = request.headers.get("if-match")  # comes first: RFC 9110, section 13.2.2
    if wanted_match is not None and not _matches(wanted_match, stored.etag):
        raise refuse("precondition_failed", "The content is not the one named by If-Match.")
    known = request.headers.get("if-none-match", "")
    if _matches(known, stored.etag) or _matches(known, f"W/{stored.etag}"):  # here a weak tag will do
        return Response(status_code=304, headers=headers)
    part = _wanted_slice(request, stored)
    if part and part.length < 1:
        found = problem("range_not_satisfiable", f"The content has {stored.bytes} bytes.")
        return answer(request, found, {"Content-Range": f"bytes */{stored.bytes}"})
    length = part.length if part else stored.bytes
    headers["Content-Length"] = str(length)
    if part:
        headers["Content-Range"] = f"bytes {part.start}-{part.start + part.length - 1}/{stored.bytes}"
    status = 206 if part else 200
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=stored.media_type)
    chunks = await _open(store, stored, start=part.start if part else 0, length=length)
    return StreamingResponse(chunks, status_code=status, headers=headers, media_type=stored.media_type)


def _headers(stored: Stored) -> dict[str, str]:
    digest = base64.b64encode(bytes.fromhex(stored.sha256)).decode()
    return {
        "ETag": stored.etag,
        "Accept-Ranges": "bytes",
        "Repr-Digest": f"sha-256=:{digest}:",
        "Cache-Control": "private, no-cache",
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(stored.filename, safe='')}",
        "Content-Security-Policy": "sandbox",
    }


def _matches(header: str, etag: str) -> bool:
    """Strong comparison: a weak tag (W/"...") is another one."""
    return header.strip() == "*" or etag in {tag.strip() for tag in header.split(",")}


def _wanted_slice(request: Request, stored: Stored) -> _Slice | None:
    """The range to send, or None for all of it; an empty one cannot be satisfied.

    Several ranges, or a form we do not know, are answered in full. Range means something for GET only.
    """
    header = request.headers.get("range") if request.method == "GET" else None
    if_range = request.headers.get("if-range")
    if header is None or (if_range is not None and if_range.strip() != stored.etag):
        return None
    found = re.fullmatch(r"\s*bytes\s*=\s*(\d{0,18})\s*-\s*(\d{0,18})\s*", header)
    if not found or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if first == "":  # the last N bytes
        start, end = max(0, stored.bytes - int(last)), stored.bytes - 1
    else:
        start, end = int(first), min(int(last) if last else stored.bytes - 1, stored.bytes - 1)
    if first and last and int(last) < int(first):
        return None
    return _Slice(start, end - start + 1)


async def _open(store: ObjectStore, stored: Stored, *, start: int, length: int) -> AsyncIterator[bytes]:
    """Open the object now, so that a missing one is an error answer and not a cut-off body."""
    stack = ExitStack()

    def enter() -> Iterator[bytes]:
        reader = store.open(tenant_id=stored.tenant_id, sha256=stored.sha256, start=start, length=length)
        return stack.enter_context(reader)

    try:
        iterator = await anyio.to_thread.run_sync(enter)
    except ObjectMissing as error:
        raise refuse("artifact_store_unavailable", "The stored content is missing.") from error
    except StorageError as error:
        raise refuse("artifact_store_unavailable", "The object store cannot be reached.") from error

    async def chunks() -> AsyncIterator[bytes]:
        try:
            while chunk := await anyio.to_thread.run_sync(lambda: next(iterator, b"")):
                yield chunk
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(stack.close)

    return chunks()

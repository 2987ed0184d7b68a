"""One part on its way in: gathered from the connection, handed to the store by a thread, at flat memory.

The event loop does nothing but gather. A connection that falls silent is ended, and holds nothing while it is not.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, ExitStack, suppress

import anyio
import anyio.to_thread
from starlette.requests import ClientDisconnect

from app.contracts.problem import ProblemFound, refuse
from app.files.sniff import HEAD_BYTES
from app.storage import ChecksumMismatch, Part, PartWriter, StoreUnavailable, UploadMissing
from app.uploads.layout import LARGEST_PART_BYTES

BATCH_BYTES = 1024 * 1024
"""Gathered before a thread is asked to write: uvicorn's chunks of 64 KiB alone would make the asking the work."""


async def receive(
    chunks: AsyncIterator[bytes],
    arriving: AbstractContextManager[PartWriter],
    *,
    idle_seconds: float,
    look_at_head: Callable[[bytes], object] | None,
) -> Part:
    """Take the bytes of a part. `look_at_head` refuses the first bytes of a file that cannot serve its purpose."""
    stack = ExitStack()
    try:
        writer = await anyio.to_thread.run_sync(stack.enter_context, arriving)
        async for batch in _batches(chunks, idle_seconds=idle_seconds):
            if look_at_head is not None:
                look_at_head(b"".join(batch)[:HEAD_BYTES])
                look_at_head = None
            await anyio.to_thread.run_sync(_write_all, writer, batch)
        return await anyio.to_thread.run_sync(writer.finish)
    except ClientDisconnect as error:
        raise refuse("bad_request", "The connection was cut before the part was whole.") from error
    except ChecksumMismatch as error:
        raise refuse("checksum_mismatch", "The part is not the one announced.", hint="Send the part again.") from error
    except UploadMissing as error:
        raise refuse("upload_complete", "The upload was ended while the part was on its way.") from error
    except StoreUnavailable as error:
        raise refuse("artifact_store_unavailable", "The part could not be stored.") from error
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(stack.close)


async def drain(chunks: AsyncIterator[bytes], *, idle_seconds: float) -> None:
    """Read the rest of a part that is refused: a client that is still sending would not see the answer."""
    left = LARGEST_PART_BYTES
    with suppress(ProblemFound, ClientDisconnect):
        async for batch in _batches(chunks, idle_seconds=idle_seconds):
            left -= sum(map(len, batch))
            if left < 0:
                return


async def _batches(chunks: AsyncIterator[bytes], *, idle_seconds: float) -> AsyncIterator[list[bytes]]:
    """What arrives, a mebibyte at a time. Time that a thread takes to write is nobody's silence."""
    clock = asyncio.get_running_loop().time
    ended = False
    while not ended:
        batch: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(idle_seconds) as patience:
                while size < BATCH_BYTES and not ended:
                    chunk = await anext(chunks, None)
                    patience.reschedule(clock() + idle_seconds)
                    ended = chunk is None
                    batch.append(chunk or b"")
                    size += len(batch[-1])
        except TimeoutError as error:
            raise refuse("upload_stalled", f"No byte arrived for {idle_seconds:g} seconds.") from error
        if size:
            yield batch


def _write_all(writer: PartWriter, batch: list[bytes]) -> None:
    for chunk in batch:
        writer.write(chunk)

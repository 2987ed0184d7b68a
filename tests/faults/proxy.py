"""A TCP proxy that misbehaves on demand: put between the service and one of the servers that it depends on.

    with running_proxy("127.0.0.1:6379") as proxy:     # or the path of a unix socket
        proxy.faults = Faults(is_black_hole=True)      # from now on bytes go nowhere, and nobody is told

Faults apply to the connections that exist and to those that come.
"""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

CHUNK_BYTES = 64 * 1024
POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Faults:
    """What happens to the bytes. Without arguments, nothing."""

    latency_seconds: float = 0.0
    """Before each chunk is passed on, in both directions."""
    is_black_hole: bool = False
    """Connections stay open, and accept, and nothing comes through until this is over."""
    black_hole_after_bytes: int | None = None
    """The same once so many bytes of requests have come; counted from now, over all."""
    resets: bool = False
    """Connections are cut with a reset, and new ones as soon as they are made."""
    slice_bytes: int | None = None
    """Chunks are passed on in pieces of so many bytes."""
    request_limit_bytes: int | None = None
    """A connection is reset instead of passing on more bytes of requests than these; counted from now, over all."""
    answer_limit_bytes: int | None = None
    """The same for answers."""
    spoiled: bytes | None = None
    """The last bit of these bytes is flipped wherever an answer holds them."""
    spoiled_times: int | None = None
    """How often; None for always."""


HEALTHY = Faults()


@dataclass
class Proxy:
    upstream: str
    port: int = 0
    request_bytes: int = 0
    """Bytes of requests that arrived here under the present faults."""
    answer_bytes: int = 0
    refused: int = 0
    """Connections that were cut as soon as they were made, under the present faults."""
    spoilt: int = 0
    """Answers in which a bit was flipped under the present faults."""
    _faults: Faults = HEALTHY
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def faults(self) -> Faults:
        return self._faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._faults, self.request_bytes, self.answer_bytes, self.refused, self.spoilt = faults, 0, 0, 0, 0
        if faults.resets:
            self._loop.call_soon_threadsafe(self.reset_all)

    def reset_all(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def serve(self, started: threading.Event, over: asyncio.Event) -> None:
        server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        await over.wait()
        server.close()
        self.reset_all()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            if self._faults.resets:
                self.refused += 1
            else:
                await self._connect(reader, writer)
        except OSError:
            pass  # the server behind is away: the client sees a reset
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, requests = await self._open()
        self._writers.add(requests)
        try:
            ways = [
                asyncio.create_task(self._pass_on(reader, requests, is_answer=False)),
                asyncio.create_task(self._pass_on(answers, writer, is_answer=True)),
            ]
            _, pending = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in pending:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
        finally:
            self._writers.discard(requests)
            requests.transport.abort()

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self.upstream.startswith("/"):
            return await asyncio.open_unix_connection(self.upstream)
        host, _, port = self.upstream.rpartition(":")
        return await asyncio.open_connection(host, int(port))

    async def _pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, is_answer: bool) -> None:
        while chunk := await source.read(CHUNK_BYTES):
            while self._is_black_hole:  # noqa: ASYNC110  the faults are set from another thread
                await asyncio.sleep(POLL_SECONDS)
            if self._faults.latency_seconds:
                await asyncio.sleep(self._faults.latency_seconds)
            self._count(len(chunk), is_answer=is_answer)
            if is_answer:
                chunk = self._spoil(chunk)
            for piece in _sliced(chunk, self._faults.slice_bytes):
                sink.write(piece)
                await sink.drain()
        if not is_answer:
            return
        await sink.drain()
        sink.close()

    @property
    def _is_black_hole(self) -> bool:
        limit = self._faults.black_hole_after_bytes
        return self._faults.is_black_hole or (limit is not None and self.request_bytes >= limit)

    def _count(self, more_bytes: int, *, is_answer: bool) -> None:
        if is_answer:
            self.answer_bytes += more_bytes
        else:
            self.request_bytes += more_bytes
        limits = (
            (self._faults.request_limit_bytes, self.request_bytes),
            (self._faults.answer_limit_bytes, self.answer_bytes),
        )
        if any(limit is not None and passed > limit for limit, passed in limits):
            raise ConnectionResetError

    def _spoil(self, chunk: bytes) -> bytes:
        target, times = self._faults.spoiled, self._faults.spoiled_times
        if target is None or target not in chunk or (times is not None and self.spoilt >= times):
            return chunk
        self.spoilt += 1
        return chunk.replace(target, target[:-1] + bytes([target[-1] ^ 1]))


@contextmanager
def running_proxy(upstream: str) -> Iterator[Proxy]:
    """A proxy on a free port of loopback, in a thread of its own."""
    proxy, started = Proxy(upstream), threading.Event()
    over = asyncio.Event()
    thread = threading.Thread(target=_run, args=(proxy, started, over), daemon=True)
    thread.start()
    started.wait()
    try:
        yield proxy
    finally:
        proxy._loop.call_soon_threadsafe(over.set)
        thread.join()


def _run(proxy: Proxy, started: threading.Event, over: asyncio.Event) -> None:
    with asyncio.Runner(loop_factory=lambda: proxy._loop) as runner, suppress(asyncio.CancelledError):
        runner.run(proxy.serve(started, over))


def _sliced(chunk: bytes, size: int | None) -> Iterator[bytes]:
    step = size or len(chunk)
    return (chunk[start : start + step] for start in range(0, len(chunk), step))

"""A process of its own that opens streams and asks for a job's status at a steady rate, whether answers come or not.

Its one argument is the path of a `Plan` as JSON; it prints a `Load` as JSON. HTTP is spoken over bare sockets, so that
the measuring costs less than the measured.
"""

import asyncio
import json
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

OPENING_AT_ONCE = 20
CONNECTIONS = 50
"""Kept open for status requests; each carries one at a time."""
LATEST_SECONDS = 30.0
"""An answer that comes later than that after the last request was due counts as an error."""


@dataclass(frozen=True)
class Plan:
    host: str
    port: int
    key: str
    job_ids: list[str]
    streams: int
    per_second: int
    seconds: float


@dataclass
class Load:
    streams: int = 0
    """Open at the end as at the beginning."""
    frames: int = 0
    latencies_ms: list[float] = field(default_factory=list)
    """Counted from when a request was due, so that one that had to wait for its turn is not flattered."""
    errors: int = 0


async def drive(plan: Plan) -> Load:
    load = Load()
    places = asyncio.Semaphore(OPENING_AT_ONCE)
    opened = [asyncio.Event() for _ in range(plan.streams)]
    streams = [asyncio.create_task(_stream(plan, n, opened[n], places, load)) for n in range(plan.streams)]
    await asyncio.gather(*(event.wait() for event in opened))
    load.frames = 0
    await _ask(plan, load)
    load.streams = sum(not task.done() for task in streams)
    for task in streams:
        task.cancel()
    await asyncio.gather(*streams, return_exceptions=True)
    return load


async def _stream(plan: Plan, number: int, opened: asyncio.Event, places: asyncio.Semaphore, load: Load) -> None:
    path = f"/v1/jobs/{plan.job_ids[number % len(plan.job_ids)]}/events"
    async with places:
        reader, writer = await asyncio.open_connection(plan.host, plan.port)
        writer.write(_request(plan, path, "text/event-stream"))
        if b" 200 " not in await reader.readline():
            load.errors += 1
        await reader.readuntil(b"event: snapshot")
        opened.set()
    while chunk := await reader.read(65536):
        load.frames += chunk.count(b"event: ")


async def _ask(plan: Plan, load: Load) -> None:
    """Every request is due at its own time, on the next free connection."""
    due: asyncio.Queue[float] = asyncio.Queue()
    workers = [asyncio.create_task(_asker(plan, due, load)) for _ in range(CONNECTIONS)]
    begun, total = time.perf_counter() + 0.5, int(plan.per_second * plan.seconds)
    for n in range(total):
        at = begun + n / plan.per_second
        await asyncio.sleep(max(0.0, at - time.perf_counter()))
        due.put_nowait(at)
    with suppress(TimeoutError):
        async with asyncio.timeout(LATEST_SECONDS):
            await due.join()
    load.errors += total - len(load.latencies_ms) - load.errors
    for worker in workers:
        worker.cancel()


async def _asker(plan: Plan, due: asyncio.Queue[float], load: Load) -> None:
    reader, writer = await asyncio.open_connection(plan.host, plan.port)
    request = _request(plan, f"/v1/jobs/{plan.job_ids[0]}", "application/json")
    while True:
        at = await due.get()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        lengths = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
        await reader.readexactly(int(lengths[0].split(b":")[1]))
        if b" 200 " in head.split(b"\r\n", 1)[0]:
            load.latencies_ms.append((time.perf_counter() - at) * 1000)
        else:
            load.errors += 1
        due.task_done()


def _request(plan: Plan, path: str, accept: str) -> bytes:
    return (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {plan.key}\r\nAccept: {accept}\r\n\r\n"
    ).encode()


if __name__ == "__main__":
    print(json.dumps(asdict(asyncio.run(drive(Plan(**json.loads(Path(sys.argv[1]).read_text())))))))

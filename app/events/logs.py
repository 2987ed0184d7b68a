"""A job's log, read from its events and written out line by line."""

from collections.abc import AsyncGenerator

from pydantic_core import to_json
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from app.events import queries
from app.events.queries import Event
from app.events.schemas import LogQuery
from app.tenancy import seen_by

PLAIN = "text/plain"
NDJSON = "application/x-ndjson"
READ_LIMIT = 1000
_SEVERITY = {"info": 0, "warning": 1, "error": 2}


async def written(
    sessions: async_sessionmaker[AsyncSession], tenant_id: str, job_id: str, asked: LogQuery, *, media_type: str
) -> AsyncGenerator[bytes]:
    """A chunk for every thousand lines. The connection is given back in between."""
    write = _ndjson if media_type == NDJSON else _plain
    after = asked.after
    while True:
        async with sessions(info=seen_by(tenant_id)) as session:
            lines = await queries.of_job(session, job_id, after=after, limit=READ_LIMIT, types=("log",))
        yield b"".join(write(line) for line in lines if _wanted(line, asked))
        if len(lines) < READ_LIMIT:
            return
        after = lines[-1].seq


def _wanted(line: Event, asked: LogQuery) -> bool:
    if asked.stage is not None and line.data["stage"] != asked.stage:
        return False
    return _SEVERITY.get(line.data["level"], 0) >= _SEVERITY[asked.level]


def _ndjson(line: Event) -> bytes:
    return to_json(line.told()) + b"\n"


def _plain(line: Event) -> bytes:
    time = line.created_at.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    message = line.data["message"].replace("\n", "\n    ")
    return f"{time} {line.data['level']:7} {line.data['stage'] or '-':9} {message}\n".encode()

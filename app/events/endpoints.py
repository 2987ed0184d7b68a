"""Events and logs over HTTP: as a stream, or a page at a time."""

from typing import Annotated, Any, cast

from fastapi import APIRouter, Depends, Header, Request, Response
from fastapi.responses import StreamingResponse

from app.auth.principal import Caller
from app.contracts.problem import refuse
from app.database import engine_sessions
from app.events import logs, queries
from app.events.accepted import preferred
from app.events.cursor import Cursor
from app.events.schemas import EventRead, EventsPage, JobEventsPage, LogPage
from app.events.streams import Streams
from app.jobs import service
from app.pagination import Listing
from app.problems import documented
from app.transaction import tenant_session

router = APIRouter(prefix="/v1", tags=["events"])

EVENT_STREAM = "text/event-stream"
_FORMS = ("application/json", EVENT_STREAM)

Accept = Annotated[str | None, Header()]
LastEventId = Annotated[str | None, Header(description="Sent by EventSource when it comes back; goes before `after`.")]


async def _streams(request: Request) -> Streams:  # asynchronous, or FastAPI would ask a thread for it
    return cast("Streams", request.app.state.streams)


OpenStreams = Annotated[Streams, Depends(_streams)]


def _streamed(description: str) -> dict[int | str, dict[str, Any]]:
    schema = {"type": "string", "description": description}
    return {200: {"content": {EVENT_STREAM: {"schema": schema}}}}


@router.get(
    "/jobs/{job_id}/events",
    response_model=Listing[EventRead],
    operation_id="list_job_events",
    responses={
        **documented("not_found", "concurrency_limit"),
        **_streamed("`snapshot`, then `status`, `stage`, `warning`, `log`, `variant`, `artifact`, `progress`; `done`."),
        204: {"description": "The job has ended and the client has seen its last event."},
    },
)
async def job_events(
    job_id: str,
    request: Request,
    caller: Caller,
    streams: OpenStreams,
    page: JobEventsPage,
    accept: Accept = None,
    last_event_id: LastEventId = None,
) -> Listing[EventRead] | Response:
    """What has happened to a job, oldest first; with `Accept: text/event-stream`, also what will, as it happens."""
    if preferred(accept, _FORMS) == EVENT_STREAM:
        return await streams.of_job(caller, job_id, after=_number(last_event_id, page.after))
    async with tenant_session(request) as session:
        await service.get(session, job_id, tenant_id=caller.tenant_id)
        events = await queries.of_job(session, job_id, after=page.after or 0, limit=page.limit + 1)
    return _listing([EventRead.of(event, str(event.seq)) for event in events], page.limit)


@router.get(
    "/events",
    response_model=Listing[EventRead],
    operation_id="list_events",
    responses={
        **documented("invalid_cursor", "concurrency_limit"),
        **_streamed("`snapshot` (unfinished jobs), then the events of every job; each names its `job_id`."),
    },
)
async def all_events(
    request: Request,
    caller: Caller,
    streams: OpenStreams,
    page: EventsPage,
    accept: Accept = None,
    last_event_id: LastEventId = None,
) -> Listing[EventRead] | Response:
    """The same for all jobs of the caller at once: a browser has only six connections to spend."""
    after = None if page.after is None else Cursor.parse(page.after)
    if page.after is not None and after is None:
        raise refuse("invalid_cursor", "`after` is not the id of an event.", pointer="/query/after")
    if preferred(accept, _FORMS) == EVENT_STREAM:
        return await streams.of_tenant(caller, after=Cursor.parse(last_event_id or "") or after)
    async with tenant_session(request) as session:
        found = await queries.of_tenant(
            session, caller.tenant_id, after=after or Cursor.before(0), limit=page.limit + 1
        )
    return _listing([EventRead.of(event, str(cursor)) for event, cursor, readable in found if readable], page.limit)


@router.get(
    "/jobs/{job_id}/logs",
    operation_id="get_job_log",
    response_class=StreamingResponse,
    responses={
        **documented("not_found"),
        200: {"content": {form: {"schema": {"type": "string"}} for form in (logs.PLAIN, logs.NDJSON)}},
    },
)
async def job_log(
    job_id: str, request: Request, caller: Caller, asked: LogPage, accept: Accept = None
) -> StreamingResponse:
    """What the job has logged: lines of text, or with `Accept: application/x-ndjson` an object on each line."""
    async with tenant_session(request) as session:
        await service.get(session, job_id, tenant_id=caller.tenant_id)
    media_type = preferred(accept, (logs.PLAIN, logs.NDJSON))
    lines = logs.written(engine_sessions(request), caller.tenant_id, job_id, asked, media_type=media_type)
    return StreamingResponse(lines, media_type=media_type)


def _number(last_event_id: str | None, after: int | None) -> int | None:
    """Where to continue; a header that is none of ours begins from the start."""
    given = (last_event_id or "").strip()
    return int(given) if given.isascii() and given.isdigit() and len(given) < 19 else after


def _listing(rows: list[EventRead], limit: int) -> Listing[EventRead]:
    shown = rows[:limit]
    return Listing(
        data=shown,
        first_id=shown[0].id if shown else None,
        last_id=shown[-1].id if shown else None,
        has_more=len(rows) > limit,
    )

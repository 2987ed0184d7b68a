"""The client's reading of streams: whole after cuts, and the state that follows from them."""

from collections.abc import Iterator

import httpx2
import pytest
from lowbit import Client, NoConnection, WaitTimeout
from lowbit.events import Event, parsed
from lowbit.job import state_after
from lowbit.resources import JobData

from tests.client.jobs_on_paper import job

LINES = ["retry: 3000", "", ": ping", "", "id: 4", "event: stage", 'data: {"stage":"fetch"}', "", "event: progress"]


def test_a_stream_is_read_line_by_line_and_an_unfinished_event_is_none() -> None:
    assert [event for event in parsed(LINES) if event] == [Event("stage", {"stage": "fetch"}, "4")]


def _running() -> JobData:
    return job(status="running", done=False, result=None).data


class _Service:
    """Answers each request for a stream with the next piece, which ends as if the connection had been cut."""

    def __init__(self, *pieces: str | int) -> None:
        self.pieces: Iterator[str | int] = iter(pieces)
        self.asked: list[str | None] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        if not request.url.path.endswith("/events"):
            return httpx2.Response(200, json=_running(), headers={"ETag": '"v1"'})
        self.asked.append(request.headers.get("Last-Event-ID"))
        piece = next(self.pieces)
        if isinstance(piece, int):
            return httpx2.Response(piece)
        return httpx2.Response(200, text=piece, headers={"Content-Type": "text/event-stream"})


def _client(service: _Service) -> Client:
    return Client("http://127.0.0.1:1", "key", transport=httpx2.MockTransport(service))


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lowbit.events.PAUSES_SECONDS", (0.0, 0.0))


def test_a_cut_stream_is_taken_up_behind_the_last_event_it_brought() -> None:
    service = _Service(
        'id: 2\nevent: status\ndata: {"status":"running","attempt":1}\n\nevent: progress\ndata: {',
        'id: 3\nevent: stage\ndata: {"stage":"calibrate"}\n\n',
        'id: 4\nevent: done\ndata: {"job_id":"x","seq":4,"id":"x","status":"succeeded","done":true}\n\n',
    )
    with _client(service) as client:
        handle = client.jobs.get("job_1")
        told = [(event.type, event.id) for event in handle.events(after=1)]
    assert told == [("status", "2"), ("stage", "3"), ("done", "4")]
    assert service.asked == ["1", "2", "3"]
    assert dict(handle.data) == {"id": "x", "status": "succeeded", "done": True}


def test_a_job_whose_end_is_known_has_nothing_more_to_tell() -> None:
    service = _Service(204)
    with _client(service) as client:
        assert list(client.jobs.get("job_1").events(after=9)) == []


def test_a_service_that_stays_away_is_given_up() -> None:
    with _client(_Service("", "", "", "")) as client, pytest.raises(WaitTimeout):
        list(client.jobs.get("job_1").events(timeout=0.0))

    def gone(request: httpx2.Request) -> httpx2.Response:
        if request.url.path.endswith("/events"):
            raise httpx2.ReadTimeout("silence")
        return httpx2.Response(200, json=_running())

    with Client("http://127.0.0.1:1", "key", transport=httpx2.MockTransport(gone)) as client:
        handle = client.jobs.get("job_1")
        with pytest.raises(NoConnection):
            list(handle.events())


def test_a_state_keeps_up_with_events() -> None:
    state = _running()
    state = state_after(state, Event("stage", {"stage": "calibrate", "attempt": 1}, "2"))
    told = {"stage": "calibrate", "fraction": 0.5, "completed": 1, "total": 2, "unit": "batches", "version": 3}
    state = state_after(state, Event("progress", told))
    assert (state["stage"], state["progress"]) == (
        "calibrate",
        {"fraction": 0.5, "completed": 1, "total": 2, "unit": "batches"},
    )
    state = state_after(state, Event("warning", {"code": "odd", "detail": "Strange.", "seq": 4}, "4"))
    assert state["warnings"] == [{"code": "odd", "detail": "Strange."}]

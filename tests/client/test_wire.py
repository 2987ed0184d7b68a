from collections.abc import Callable, Iterator

import httpx2
import pytest
from lowbit import NoConnection, NotFound, ProblemError
from lowbit.discovery import Connection
from lowbit.wire import Call, Wire, address

Answer = httpx2.Response | Exception


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that would have been made; none is made."""
    made: list[float] = []
    monkeypatch.setattr("lowbit.wire.time.sleep", made.append)
    return made


def wire_that_meets(*answers: Answer) -> tuple[Wire, list[httpx2.Request]]:
    """A wire whose network gives these answers in turn, and the requests it saw."""
    seen: list[httpx2.Request] = []
    remaining: Iterator[Answer] = iter(answers)

    def respond(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        answer = next(remaining)
        if isinstance(answer, Exception):
            raise answer
        return answer

    connection = Connection("http://service.test", "key")
    return Wire(connection, timeout_seconds=5.0, transport=httpx2.MockTransport(respond)), seen


def unavailable(retry_after: str | None = "1") -> httpx2.Response:
    headers = {"Retry-After": retry_after} if retry_after else {}
    return httpx2.Response(503, headers=headers, json={"code": "service_unavailable", "title": "Later", "status": 503})


def test_the_key_travels_as_a_bearer_token() -> None:
    wire, seen = wire_that_meets(httpx2.Response(200, json={}))
    wire.get("/v1/jobs", limit=5)
    assert seen[0].headers["Authorization"] == "Bearer key"
    assert str(seen[0].url) == "http://service.test/v1/jobs?limit=5"


def test_a_read_survives_a_short_outage(pauses: list[float]) -> None:
    wire, seen = wire_that_meets(
        httpx2.ConnectError("refused"), unavailable("1"), httpx2.Response(200, json={"id": "job_1"})
    )
    assert wire.get("/v1/jobs/job_1") == {"id": "job_1"}
    assert len(seen) == 3
    assert pauses == [0.2, 1.0]  # the plan after a lost connection; what the service asked for after a 503


def test_a_read_gives_up_after_four_tries(pauses: list[float]) -> None:
    wire, seen = wire_that_meets(*[httpx2.ConnectError("refused")] * 4)
    with pytest.raises(NoConnection, match=r"http://service\.test cannot be reached: refused"):
        wire.get("/v1/jobs")
    assert len(seen) == 4


@pytest.mark.parametrize("retry_after", [None, "3600", "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_a_503_without_a_near_time_is_final(pauses: list[float], retry_after: str | None) -> None:
    wire, seen = wire_that_meets(unavailable(retry_after))
    with pytest.raises(ProblemError, match="Later"):
        wire.get("/v1/jobs")
    assert len(seen) == 1


@pytest.mark.parametrize("failure", [httpx2.ReadError("cut"), httpx2.ConnectError("refused"), unavailable()])
def test_what_creates_something_is_sent_again_under_the_same_key(pauses: list[float], failure: Answer) -> None:
    wire, seen = wire_that_meets(failure, httpx2.Response(201, json={"id": "job_1"}), httpx2.Response(201, json={}))
    assert wire.post("/v1/jobs", {}) == {"id": "job_1"}
    wire.post("/v1/jobs", {})
    first, again, other = (request.headers["Idempotency-Key"] for request in seen)
    assert first == again
    assert other != first  # a new request is a new wish, even with the same body


def test_a_first_try_that_is_still_under_way_is_waited_for(pauses: list[float]) -> None:
    busy = {"code": "idempotency_in_progress", "title": "Still under way", "status": 409}
    wire, seen = wire_that_meets(
        httpx2.Response(409, headers={"Retry-After": "2"}, json=busy), httpx2.Response(201, json={"id": "job_1"})
    )
    assert wire.post("/v1/jobs", {}) == {"id": "job_1"}
    assert (len(seen), pauses) == (2, [2.0])


def test_a_conflict_that_will_not_pass_is_final(pauses: list[float]) -> None:
    wire, seen = wire_that_meets(httpx2.Response(409, json={"code": "resource_in_use", "title": "No", "status": 409}))
    with pytest.raises(ProblemError, match="No"):
        wire.post("/v1/jobs", {})
    assert len(seen) == 1


def test_what_has_no_key_is_sent_once(pauses: list[float]) -> None:
    wire, seen = wire_that_meets(httpx2.ReadError("cut"))
    with pytest.raises(NoConnection):
        wire.delete("/v1/jobs/job_1")
    assert len(seen) == 1


def test_silence_is_named_with_its_limit() -> None:
    wire, seen = wire_that_meets(httpx2.ReadTimeout("timed out"))
    with pytest.raises(NoConnection, match="did not answer within 5 s"):
        wire.get("/v1/jobs")
    assert len(seen) == 1


def test_a_long_poll_may_be_silent_for_as_long_as_it_asked() -> None:
    wire, seen = wire_that_meets(httpx2.Response(200, json={}))
    wire.json(Call("GET", "/v1/jobs/job_1", wait_seconds=30.0))
    assert seen[0].extensions["timeout"]["read"] == 35.0  # 30 s asked for, 5 s allowed for every answer


def test_another_kind_of_server_is_told_apart() -> None:
    wire, _ = wire_that_meets(httpx2.Response(200, text="<html>"))
    with pytest.raises(NoConnection, match="not as a Lowbit service"):
        wire.get("/v1/jobs")


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://service.test", "http://[", "not an address", "http://"])
def test_an_address_that_is_none_is_a_connection_problem(url: str) -> None:
    wire = Wire(Connection(url, None), timeout_seconds=5.0)
    with pytest.raises(NoConnection):
        wire.post("/v1/jobs", {})
    wire.close()


def test_a_list_is_read_to_its_end() -> None:
    def page(ids: list[int], *, more: bool) -> httpx2.Response:
        return httpx2.Response(200, json={"data": ids, "last_id": f"id_{ids[-1]}", "has_more": more})

    wire, seen = wire_that_meets(page([1, 2], more=True), page([3], more=False))
    assert list(wire.pages("/v1/recipes")) == [1, 2, 3]
    assert [request.url.params.get("after") for request in seen] == [None, "id_2"]


def test_an_id_cannot_reach_another_path() -> None:
    assert address("jobs", "../keys?x=1", "cancel") == "/v1/jobs/..%2Fkeys%3Fx%3D1/cancel"


@pytest.mark.parametrize("action", [lambda wire: wire.get("/v1/jobs/x"), lambda wire: wire.delete("/v1/models/x")])
def test_an_unknown_id_is_not_found(action: Callable[[Wire], None]) -> None:
    wire, _ = wire_that_meets(httpx2.Response(404, json={"code": "not_found", "title": "Nothing here", "status": 404}))
    with pytest.raises(NotFound, match="Nothing here"):
        action(wire)

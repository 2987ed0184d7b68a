import asyncio
import re
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI, Request

from app.middleware.strict_json import StrictJson
from tests.e2e.conversation import is_problem
from tests.servers.api import Api


def ask(content: Any, kind: str = "application/json") -> httpx2.Response:
    """Post to an application that gives back what it received."""
    app = FastAPI()
    app.add_middleware(StrictJson)

    @app.post("/")
    async def post(request: Request) -> str:
        return (await request.body()).decode("latin-1")

    async def send() -> httpx2.Response:
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.post("/", content=content, headers={"Content-Type": kind})

    return asyncio.run(send())


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b'{"a": 1, "a": 1}', "names a twice"),
        (b'{"deep": [{"b\\u0000": 1, "b\\u0000": 2}]}', "names b\N{REPLACEMENT CHARACTER} twice"),
        (b'{"a": NaN}', "holds NaN"),
        (b'{"a": -Infinity}', "holds -Infinity"),
        (b'{"a": 1e400}', "too large"),
        (b'{"a": ' + b"9" * 5000 + b"}", "digits"),
        (b'{"a": ' + b"[" * 1000 + b"]" * 1000 + b"}", "64 deep"),
        (b"[" * 100_000, "64 deep"),
        (b"{", "not JSON"),
        (b'"\\ud800"', "surrogate"),
        (b"\xff\xfe", "not UTF-8"),
        ('{"a": 1}'.encode("utf-16"), "not UTF-8"),
    ],
)
@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; charset=utf-8", "application/problem+json"])
def test_json_that_can_be_read_in_two_ways_is_refused(body: bytes, says: str, kind: str) -> None:
    answer = ask(body, kind)
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_json")
    assert says in answer.json()["detail"]
    assert answer.json()["hint"]
    assert len(answer.content) < 1000


def test_a_sound_body_arrives_as_it_was_sent_also_in_pieces() -> None:
    body = b' {"a": [1.50, "\xc3\xa9"]}\n'

    async def pieces() -> Any:
        for byte in body:
            yield bytes([byte])

    assert ask(body).json() == ask(pieces()).json() == body.decode("latin-1")
    assert ask(b"").json() == ""


@pytest.mark.parametrize("kind", ["application/octet-stream", "text/json", "application/jsonl", ""])
def test_what_does_not_say_that_it_is_json_is_left_alone(kind: str) -> None:
    assert ask(b'{"a": 1, "a": 2}', kind).json() == '{"a": 1, "a": 2}'


def test_no_operation_reads_a_name_twice(api: Api) -> None:
    taking = [
        (method.upper(), path)
        for path, methods in api.app.openapi()["paths"].items()
        for method, operation in methods.items()
        if "application/json" in operation.get("requestBody", {}).get("content", {})
    ]
    assert len(taking) > 8
    with api.client() as admin:
        for method, path in taking:
            address = re.sub(r"{\w+}", "x", path)
            answer = admin.request(
                method, address, content=b'{"name": "a", "name": "b"}', headers={"Content-Type": "application/json"}
            )
            is_problem(answer, 400, "malformed_json")

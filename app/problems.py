"""How problems leave the service: one response class, one set of exception handlers, one way to document them."""

import json
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from psycopg.errors import ForeignKeyViolation
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from app.contracts.codes import CATALOGUE, ProblemCode
from app.contracts.problem import Problem, ProblemDetail, ProblemFound, problem, quoted
from app.database import UNREACHABLE

MEDIA_TYPE = "application/problem+json"
MAX_DETAILS = 20
"""Validation errors listed in one answer; a body of a thousand mistakes gets the first ones."""
MAX_GUESSED_CHARACTERS = 64
"""No field of ours has a name near this; difflib's time grows with the square of the length."""

_HTTP_METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")

_CODE_OF_STATUS: dict[int, ProblemCode] = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    411: "length_required",
    413: "body_too_large",
    415: "unsupported_media_type",
}


def respond(found: Problem, *, path: str, request_id: str | None, headers: dict[str, str] | None = None) -> Response:
    """The HTTP answer for a problem: where it happened and under which request id are added here."""
    body = found.model_copy(update={"instance": quoted(path), "request_id": request_id})
    extra = dict(headers or {})
    if found.status == 401:
        extra["WWW-Authenticate"] = "Bearer"
    if found.status in (429, 503) or found.code == "idempotency_in_progress":
        extra.setdefault("Retry-After", "2")
    return JSONResponse(
        body.model_dump(mode="json", exclude_none=True), status_code=found.status, headers=extra, media_type=MEDIA_TYPE
    )


async def send_problem(
    found: Problem, scope: Scope, receive: Receive, send: Send, *, headers: dict[str, str] | None = None
) -> None:
    """Answer from a middleware, before or after the application itself."""
    request_id = scope.get("state", {}).get("request_id")
    response = respond(found, path=scope["path"], request_id=request_id, headers=headers)
    await response(scope, receive, send)


def install_handlers(app: FastAPI) -> None:
    """Every error becomes a problem, the framework's own included."""

    @app.exception_handler(ProblemFound)
    async def _(request: Request, error: ProblemFound) -> Response:
        return answer(request, error.problem)

    @app.exception_handler(RequestValidationError)
    async def _(request: Request, error: RequestValidationError) -> Response:
        return answer(request, _from_validation(error.errors(), known=_field_names(request.app.openapi())))

    @app.exception_handler(HTTPException)
    async def _(request: Request, error: HTTPException) -> Response:
        code = _CODE_OF_STATUS.get(error.status_code, "bad_request")
        headers = {k: v for k, v in (error.headers or {}).items() if k.lower() == "retry-after"}
        if error.status_code == 405:
            headers["Allow"] = ", ".join(_methods(request))
        return answer(request, problem(code, CATALOGUE[code].title + "."), headers)

    _install_database_handlers(app)


def _install_database_handlers(app: FastAPI) -> None:
    """What SQLAlchemy raises and a client can do something about; the rest stays an internal error."""

    @app.exception_handler(DataError)
    async def _(request: Request, _: DataError) -> Response:
        detail = "A text holds a character that cannot be stored, such as NUL."
        return answer(request, problem("validation_error", detail))

    @app.exception_handler(IntegrityError)
    async def _(request: Request, error: IntegrityError) -> Response:
        if isinstance(error.orig, ForeignKeyViolation):  # a deletion and a reference to the same row met
            return answer(request, problem("resource_in_use", "What is deleted and what refers to it came at once."))
        raise error

    @app.exception_handler(PoolTimeout)
    async def _(request: Request, _: PoolTimeout) -> Response:
        return answer(request, problem("service_unavailable", "All connections to the database are in use."))

    @app.exception_handler(DBAPIError)
    async def _(request: Request, error: DBAPIError) -> Response:
        if isinstance(error, UNREACHABLE) or error.connection_invalidated:
            return answer(request, problem("service_unavailable", "The database is not reachable."))
        raise error


def answer(request: Request, found: Problem, headers: dict[str, str] | None = None) -> Response:
    """The HTTP answer to a request that met a problem."""
    request_id = getattr(request.state, "request_id", None)
    return respond(found, path=request.url.path, request_id=request_id, headers=headers)


def _methods(request: Request) -> list[str]:
    """All methods of the path; the framework names those of one route, or, of an included router, none.

    Each is tried on the routes, since included routers do not show theirs.
    """
    scopes = {method: {**request.scope, "method": method} for method in _HTTP_METHODS}
    routes = request.app.routes
    return [name for name, scope in scopes.items() if any(r.matches(scope)[0] is Match.FULL for r in routes)]


def _from_validation(errors: Sequence[Any], *, known: frozenset[str]) -> Problem:
    """Pydantic's list of errors as one problem, with JSON pointers into the body."""
    if any(e["type"] == "json_invalid" for e in errors):
        position = next(e for e in errors if e["type"] == "json_invalid")
        return problem("malformed_json", f"The body is not valid JSON: {position['ctx']['error']}.")
    details = tuple(
        ProblemDetail(pointer=_pointer(e["loc"]), detail=f"{e['msg']}{_received(e)}") for e in errors[:MAX_DETAILS]
    )
    first = details[0]
    return problem("validation_error", f"{first.pointer}: {first.detail}.", errors=details, hint=_meant(errors, known))


def _meant(errors: Sequence[Any], known: frozenset[str]) -> str | None:
    """What a contract suggests, or a name of ours that is spelt nearly like an unknown one. Listed errors only."""
    for error in errors[:MAX_DETAILS]:
        if "hint" in error.get("ctx", {}):
            return str(error["ctx"]["hint"])
        name = str(error["loc"][-1])
        if error["type"] == "extra_forbidden" and len(name) <= MAX_GUESSED_CHARACTERS:
            close = get_close_matches(name, known, n=1, cutoff=0.75)
            if close:
                return f"Did you mean `{close[0]}`?"
    return None


def _field_names(openapi: dict[str, Any]) -> frozenset[str]:
    schemas = openapi["components"]["schemas"].values()
    return frozenset(name for schema in schemas for name in schema.get("properties", {}))


def _pointer(location: Sequence[int | str]) -> str:
    """('body', 'recipe', 'percentiles', 0) is /recipe/percentiles/0; parameters keep their kind: /query/limit."""
    parts = location[1:] if location and location[0] == "body" else location
    return "/" + "/".join(quoted(str(p)).replace("~", "~0").replace("/", "~1") for p in parts)


def _received(error: dict[str, Any]) -> str:
    value = error.get("input")
    if error["type"] in {"missing", "extra_forbidden"} or isinstance(value, dict | list | bytes):
        return ""
    return f" (received {quoted(json.dumps(value, default=str))})"


def documented(*codes: ProblemCode) -> dict[int | str, dict[str, Any]]:
    """The `responses` of an endpoint: its own problems and those that any authenticated request can meet."""
    everywhere: tuple[ProblemCode, ...] = (
        "missing_credentials",
        "invalid_credentials",
        "forbidden",
        "rate_limited",
        "host_not_allowed",
        "validation_error",
        "internal",
        "service_unavailable",
    )
    by_status: dict[int | str, list[str]] = {}
    for code in (*codes, *everywhere):
        by_status.setdefault(CATALOGUE[code].status, []).append(code)
    return {
        status: {
            "description": "Codes: " + ", ".join(f"`{c}`" for c in dict.fromkeys(listed)),
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status, listed in sorted(by_status.items(), key=lambda item: int(item[0]))
    }

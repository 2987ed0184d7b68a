"""What went wrong, as one object: the body of an HTTP error, and what a failed job or a rejected resource embeds.

The shape is RFC 9457 with members of ours: `code`, `errors`, `hint`, `request_id`.
"""

from pydantic import BaseModel, ConfigDict, Field

from app.contracts.codes import CATALOGUE, ProblemCode

MAX_QUOTED = 200
"""Characters of a user's own input that an error may repeat."""


class ProblemDetail(BaseModel):
    """One thing that is wrong and where: a JSON pointer into the request, or the name of an entry of a file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pointer: str | None = None
    entry: str | None = None
    detail: str


class Problem(BaseModel):
    """An error that helps: what is wrong, where, and what would be right."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: str
    title: str
    status: int
    detail: str
    code: ProblemCode
    errors: tuple[ProblemDetail, ...] = ()
    hint: str | None = None
    instance: str | None = None
    request_id: str | None = None
    stage: str | None = Field(default=None, description="The job's stage in which it failed.")
    retryable: bool = False


def problem(
    code: ProblemCode,
    detail: str,
    *,
    hint: str | None = None,
    pointer: str | None = None,
    entry: str | None = None,
    errors: tuple[ProblemDetail, ...] = (),
) -> Problem:
    """Build a problem of the catalogue. `pointer` and `entry` are the short form of a single item of `errors`."""
    known = CATALOGUE[code]
    if not errors and (pointer is not None or entry is not None):
        errors = (ProblemDetail(pointer=pointer, entry=quoted(entry) if entry else None, detail=detail),)
    return Problem(
        type=f"/problems/{code}",
        title=known.title,
        status=known.status,
        detail=detail,
        code=code,
        errors=errors,
        hint=hint or known.hint,
        retryable=known.retryable,
    )


def quoted(text: str) -> str:
    """A user's text made safe to repeat: printable, and not longer than `MAX_QUOTED`."""
    clean = "".join(c if c.isprintable() else "�" for c in text[: MAX_QUOTED + 1])
    return clean if len(clean) <= MAX_QUOTED else clean[: MAX_QUOTED - 1] + "…"


class ProblemFound(Exception):
    """A problem on its way to whoever reports it: the HTTP layer, or the end of a job."""

    def __init__(self, found: Problem) -> None:
        super().__init__(f"{found.code}: {found.detail}")
        self.problem = found


def refuse(
    code: ProblemCode,
    detail: str,
    *,
    hint: str | None = None,
    pointer: str | None = None,
    entry: str | None = None,
) -> ProblemFound:
    """A problem to be raised, in one expression."""
    return ProblemFound(problem(code, detail, hint=hint, pointer=pointer, entry=entry))

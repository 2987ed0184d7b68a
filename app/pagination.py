"""Lists: newest first, by id, a page at a time. Ids rise with time, so the last id of a page is its cursor."""

import re
from collections.abc import Sequence
from typing import Annotated, Any, Generic, Literal, TypeVar, TypeVarTuple

from fastapi import Query
from pydantic import BaseModel, Field
from sqlalchemy import Select

from app.contracts.problem import refuse
from app.ids import Prefix

MAX_LIMIT = 200


class Page(BaseModel):
    """Query parameters of every list."""

    model_config = {"extra": "forbid"}

    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT)] = 20
    after: Annotated[str | None, Field(max_length=64, description="`last_id` of the previous page.")] = None


PageQuery = Annotated[Page, Query()]


T = TypeVar("T", bound=BaseModel)
Columns = TypeVarTuple("Columns")


class Listing(BaseModel, Generic[T]):
    object: Literal["list"] = "list"
    data: list[T]
    first_id: str | None
    last_id: str | None
    has_more: bool


def one_page(statement: Select[*Columns], id_column: Any, page: Page, *, prefix: Prefix) -> Select[*Columns]:  # noqa: ANN401
    """Narrow a statement to a page, with one row more that tells whether another page follows."""
    if page.after is not None:
        if not re.fullmatch(f"{prefix}_[0-9a-f]{{32}}", page.after):
            raise refuse("invalid_cursor", "`after` is not an id of this list.", pointer="/query/after")
        statement = statement.where(id_column < page.after)
    return statement.order_by(id_column.desc()).limit(page.limit + 1)


def listing(rows: Sequence[T], page: Page) -> dict[str, Any]:
    """The list object for rows fetched by `one_page`."""
    shown = list(rows[: page.limit])
    ids = [row.id for row in shown]  # type: ignore[attr-defined]  # every listed shape has an id
    return {
        "data": shown,
        "first_id": ids[0] if ids else None,
        "last_id": ids[-1] if ids else None,
        "has_more": len(rows) > page.limit,
    }

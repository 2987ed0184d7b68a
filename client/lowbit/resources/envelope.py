"""What surrounds the service's objects: pages, links, notices, problems."""

from typing import Any, Generic, Literal, TypedDict, TypeVar

Resource = TypeVar("Resource")
RawProblem = dict[str, Any]
Links = dict[str, str]


class Page(TypedDict, Generic[Resource]):
    """A piece of a list. The next one starts `after=page["last_id"]`."""

    object: Literal["list"]
    data: list[Resource]
    first_id: str | None
    last_id: str | None
    has_more: bool


class Notice(TypedDict):
    code: str
    detail: str

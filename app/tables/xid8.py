"""Postgres' 64-bit transaction ids, which never wrap around."""

from typing import Any

from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlalchemy.types import UserDefinedType


class Xid8(UserDefinedType[int]):
    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:  # noqa: ANN401  SQLAlchemy's own signature
        return "xid8"


ischema_names["xid8"] = Xid8  # so that a comparison of the schema with these tables knows it

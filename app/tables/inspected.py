"""What models and data sets share: they are made from a file and wait for a worker's verdict."""

from sqlalchemy import ForeignKeyConstraint, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, declared_attr, mapped_column

from app.contracts.status import ResourceStatus
from app.tables.base import JsonObject, TenantOwned


class Inspected(TenantOwned):
    name: Mapped[str]
    file_id: Mapped[str]
    format: Mapped[str]
    status: Mapped[str] = mapped_column(default=ResourceStatus.INSPECTING)
    inspection: Mapped[JsonObject | None]
    problem: Mapped[JsonObject | None]
    warnings: Mapped[list[JsonObject]] = mapped_column(default=list)

    @declared_attr.directive
    @classmethod
    def __table_args__(cls) -> tuple[ForeignKeyConstraint | UniqueConstraint | Index, ...]:
        return (
            ForeignKeyConstraint(["tenant_id", "file_id"], ["files.tenant_id", "files.id"]),
            UniqueConstraint("tenant_id", "id"),
            Index(None, "file_id"),
        )

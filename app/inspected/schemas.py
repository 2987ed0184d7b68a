"""The parts of a model's and a data set's shape that are the same."""

from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field

from app.contracts.inspection import Notice
from app.contracts.naming import Name
from app.contracts.problem import Problem
from app.contracts.status import ResourceStatus
from app.tables import Dataset, File, Model


class InspectedCreate(BaseModel):
    """The request: which file, and what to call the resource (default: the file's name)."""

    model_config = ConfigDict(extra="forbid")

    file_id: Annotated[str, Field(max_length=64)]
    name: Name | None = None

    def declared(self, file_format: str) -> dict[str, Any]:
        """What else the row records. Raises ProblemFound where it makes no sense for the format."""
        del file_format
        return {}


class SelfLink(BaseModel):
    self: str
    file: str


class InspectedRead(BaseModel):
    id: str
    name: str
    file_id: str
    bytes: int
    sha256: str
    status: ResourceStatus
    warnings: list[Notice]
    problem: Problem | None
    """Why it was rejected; the same object that a refused request would carry."""
    created_at: datetime
    links: SelfLink

    @classmethod
    def of(cls, row: Model | Dataset, file: File) -> Self:
        """The shape of a row; what the inspection found lies flat beside the rest."""
        return cls.model_validate(_fields(row, file))


def _fields(row: Model | Dataset, file: File) -> dict[str, Any]:
    kind = "models" if isinstance(row, Model) else "datasets"
    found = dict(row.inspection or {})
    if isinstance(row, Dataset) and not found.get("preparation"):
        found["preparation"] = row.preparation
    return {
        "id": row.id,
        "name": row.name,
        "file_id": row.file_id,
        "format": row.format,
        "bytes": file.bytes,
        "sha256": file.sha256,
        "status": row.status,
        "warnings": row.warnings,
        "problem": row.problem,
        "created_at": row.created_at,
        "links": {"self": f"/v1/{kind}/{row.id}", "file": f"/v1/files/{row.file_id}"},
        **found,
    }

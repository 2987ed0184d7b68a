"""A data set that a job names: where its file comes to lie, how its rows are prepared, and the digest of both."""

import hashlib
from typing import Any, NamedTuple, cast

from pydantic import TypeAdapter
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.contracts.formats import EXTENSIONS, UploadedDatasetFormat, UploadedModelFormat
from app.contracts.preparation import Preparation
from app.tables import Dataset, File, Model

_PREPARATION: TypeAdapter[Preparation] = TypeAdapter(Preparation)


class Uploaded(NamedTuple):
    sha256: str
    format: UploadedModelFormat | UploadedDatasetFormat

    def path(self, name: str) -> str:
        """In the scratch folder: its suffix tells the format."""
        return f"{name}{EXTENSIONS[self.format]}"


class NamedData(NamedTuple):
    path: str
    sha256: str
    """Of the file."""
    preparation: Preparation | None

    @property
    def digest(self) -> str:
        """Of what the model is fed with: one file, prepared in two ways, is two."""
        if self.preparation is None:
            return self.sha256
        prepared = f"{self.sha256} {self.preparation.model_dump_json()}"
        return hashlib.sha256(prepared.encode()).hexdigest()


def uploaded(session: Session, table: type[Model] | type[Dataset], resource_id: str | None) -> Uploaded:
    statement = select(File).join(table, table.file_id == File.id).where(table.id == resource_id)
    file = session.scalars(statement).one()
    return Uploaded(file.sha256, cast("UploadedModelFormat | UploadedDatasetFormat", file.format))


def named_data(session: Session, dataset_id: str | None, *, as_name: str, model: Model | None = None) -> NamedData:
    """`model`: the one that is to be fed; it may bring the preparation of its images."""
    row = session.get_one(Dataset, dataset_id)
    file = uploaded(session, Dataset, dataset_id)
    return NamedData(file.path(as_name), file.sha256, _preparation(row, file, model))


def _preparation(row: Dataset, file: Uploaded, model: Model | None) -> Preparation | None:
    """What the inspection settled on, else what was declared, else what the model asks for."""
    known: dict[str, Any] | None = (row.inspection or {}).get("preparation") or row.preparation
    if known is None and model is not None and file.format == "images":
        known = (model.inspection or {}).get("image_preparation")
    return None if known is None else _PREPARATION.validate_python(known)

"""Rows that a job may name."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy.orm import Session

from app.contracts.preparation import ImagePreparation, TextPreparation
from app.ids import new_id
from app.tables import DEFAULT_TENANT_ID, Dataset, File, Job, Model
from tests.workers.supervision.conftest import SHA256, Sessions

TEXT = TextPreparation(text="review", label="stars")
IMAGE = ImagePreparation(height=8, width=8)
DATA_SHA256 = "d" * 64


@pytest.fixture
def session(sessions: Sessions) -> Iterator[Session]:
    """Nothing that is written here is committed."""
    with sessions() as opened:
        yield opened


def add(session: Session, row: Any) -> None:
    row.tenant_id = DEFAULT_TENANT_ID
    session.add(row)
    session.flush()


def model(session: Session, *, file_format: str = "onnx", name: str = "m.onnx", **fields: Any) -> Model:
    file_id = _file(session, file_format, SHA256)
    row = Model(id=new_id("mdl"), name=name, file_id=file_id, format=file_format, **fields)
    add(session, row)
    return row


def dataset(session: Session, file_format: str, **fields: Any) -> Dataset:
    file_id = _file(session, file_format, DATA_SHA256)
    row = Dataset(id=new_id("ds"), name="d", file_id=file_id, format=file_format, **fields)
    add(session, row)
    return row


def job(kind: str, **fields: Any) -> Job:
    return Job(id=new_id("job"), tenant_id=DEFAULT_TENANT_ID, kind=kind, **fields)


def _file(session: Session, file_format: str, sha256: str) -> str:
    purpose = "model" if file_format in {"onnx", "archive", "torch_export"} else "dataset"
    file = File(id=new_id("file"), filename="f", purpose=purpose, format=file_format, bytes=1, sha256=sha256)
    add(session, file)
    return file.id

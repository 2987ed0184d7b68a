"""The canonical model: what the inspection made of an upload. Jobs read these files, and never the upload again."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import Insert, insert, select
from sqlalchemy.orm import Session

from app.tables import File, Job, Model, ModelFile
from workers.protocol.canonical_files import CANONICAL_FILES, MODEL_FILE
from workers.protocol.outcome import ModelInspected
from workers.protocol.tasks import OUTPUT_FOLDER
from workers.supervision.abnormal_end import OutputUnusable
from workers.supervision.output_files import StoredFile, store_output
from workers.supervision.transfers import Transfers

ITS_OWN_MODEL = "onnx"
"""The format of uploads that need no other form."""


def store_model(
    job: Job, found: ModelInspected, uploaded_format: str, scratch: Path, transfers: Transfers
) -> dict[str, StoredFile]:
    """Put the files that the inspection names into the store. Raises OutputUnusable."""
    if not found.files and uploaded_format == ITS_OWN_MODEL:
        return {}
    if len(set(found.files)) != len(found.files) or not {MODEL_FILE} <= set(found.files) <= CANONICAL_FILES:
        raise OutputUnusable("its outcome names other files than those of a model")
    folder = scratch / OUTPUT_FOLDER
    return {
        name: store_output(folder, name, tenant_id=job.tenant_id, transfers=transfers) for name in sorted(found.files)
    }


def record_model(job: Job, stored: Mapping[str, StoredFile]) -> Insert:
    """One row for each file; there is at least one."""
    rows = [
        {"tenant_id": job.tenant_id, "model_id": job.model_id, "name": name, "bytes": file.bytes, "sha256": file.sha256}
        for name, file in stored.items()
    ]
    return insert(ModelFile).values(rows)


def files_of(session: Session, job: Job) -> dict[str, str]:
    """The digest of each file of the job's model, by name.

    A model that was ready before inspections kept files has none: its upload is its only file.
    """
    kept = select(ModelFile.name, ModelFile.sha256).where(
        ModelFile.tenant_id == job.tenant_id, ModelFile.model_id == job.model_id
    )
    found = {row.name: row.sha256 for row in session.execute(kept.order_by(ModelFile.name))}
    if found:
        return found
    upload = select(File.sha256).join(Model, Model.file_id == File.id).where(Model.id == job.model_id)
    return {MODEL_FILE: session.scalars(upload).one()}


def digest_of(files: Mapping[str, str]) -> str:
    """Of the whole model: that of its only file, or one of all names and digests."""
    if len(files) == 1:
        return next(iter(files.values()))
    listed = json.dumps(sorted(files.items()), separators=(",", ":"))
    return hashlib.sha256(listed.encode()).hexdigest()

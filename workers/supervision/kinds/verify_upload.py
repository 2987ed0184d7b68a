"""Verifies a completed upload: its parts become one object of the announced digest, and the object a file."""

from contextlib import suppress

import structlog
from sqlalchemy import Update, select, update
from sqlalchemy.orm import Session

from app.contracts.problem import ProblemFound, problem
from app.contracts.status import Stage, UploadStatus
from app.files.sniff import HEAD_BYTES, Format, as_purpose, require_format
from app.ids import new_id
from app.jobs import lease as statements
from app.storage import (
    ChecksumMismatch,
    ObjectStore,
    PartsInvalid,
    PartsMissing,
    StorageError,
    UploadMissing,
)
from app.tables import File, Upload
from workers.supervision import record
from workers.supervision.beside import beside
from workers.supervision.held_job import HeldJob
from workers.supervision.kinds.kind import Errand

log = structlog.get_logger("lowbit.verification")


class VerifyUpload(Errand):
    stages = (Stage.FETCH, Stage.INSPECT)
    takes_gpu = False

    def see_through(self, held: HeldJob, store: ObjectStore) -> None:
        """See a verification through to its recorded end. `StoreUnavailable` passes: it can be done later."""
        with held.sessions() as session:
            upload = session.scalars(select(Upload).where(Upload.id == held.job.upload_id)).one()
        try:
            held.enter(Stage.FETCH)
            beside(lambda: _assemble(store, upload), held.check)
            held.enter(Stage.INSPECT)
            allowed = held.settings.allow_torch_export
            found = beside(lambda: _format(store, upload, allow_torch_export=allowed), held.check)
        except ProblemFound as refused:
            why = refused.problem
            held.write_end(lambda s: record.refused(s, held, why))
            _free(store, upload)
            log.info("upload refused", upload_id=upload.id, code=why.code)
            return
        file = _file(upload, found)
        held.write_end(lambda s: _completed(s, held, upload, file))
        log.info("upload verified", upload_id=upload.id, bytes=upload.bytes)


def _assemble(store: ObjectStore, upload: Upload) -> None:
    assert upload.sha256 is not None
    try:
        store.uploads.assemble(
            tenant_id=upload.tenant_id,
            upload_id=upload.id,
            handle=upload.staging_handle,
            parts=[(part["number"], part["etag"]) for part in upload.parts or []],
            sha256=upload.sha256,
            total_bytes=upload.bytes,
        )
    except ChecksumMismatch as error:
        raise ProblemFound(problem("checksum_mismatch", "The file's sha256 is not the one announced.")) from error
    except PartsInvalid as error:
        detail = f"A part was sent again, with other bytes, while the upload was completed: {error.numbers[0]}."
        raise ProblemFound(problem("upload_part_invalid", detail)) from error
    except (PartsMissing, UploadMissing) as error:
        raise ProblemFound(problem("upload_parts_missing", "The parts are gone from the store.")) from error


def _format(store: ObjectStore, upload: Upload, *, allow_torch_export: bool) -> Format:
    """Parts that went straight to the store were not looked at before."""
    assert upload.sha256 is not None
    with store.open(tenant_id=upload.tenant_id, sha256=upload.sha256, length=HEAD_BYTES) as chunks:
        head = b"".join(chunks)
    return require_format(head, as_purpose(upload.purpose), allow_torch_export=allow_torch_export)


def _file(upload: Upload, found: Format) -> File:
    return File(
        id=new_id("file"),
        tenant_id=upload.tenant_id,
        filename=upload.filename,
        purpose=upload.purpose,
        format=found,
        bytes=upload.bytes,
        sha256=upload.sha256,
    )


def _completed(session: Session, held: HeldJob, upload: Upload, file: File) -> None:
    """The file and the end of its upload appear together. The object stays: a verifying upload refers to it."""
    ended = statements.succeed(held.lease, result={}, stages=held.record.finished(), warnings=[])
    record.guarded(session, ended)
    session.merge(file)  # a copy: after a failed commit the next try begins with a file that no session knows
    session.flush()
    session.execute(_verified(upload, file.id))


def _verified(upload: Upload, file_id: str) -> Update:
    return (
        update(Upload)
        .where(Upload.id == upload.id, Upload.status == UploadStatus.VERIFYING)
        .values(status=UploadStatus.COMPLETED, file_id=file_id, parts=None)
        .execution_options(synchronize_session=False)
    )


def _free(store: ObjectStore, upload: Upload) -> None:
    """What cannot be freed now is garbage, and collected later."""
    with suppress(StorageError):
        store.uploads.abort(tenant_id=upload.tenant_id, upload_id=upload.id, handle=upload.staging_handle)

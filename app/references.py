"""What keeps an object alive, and the lock under which references are recorded and objects are removed.

Whoever records a reference takes the object's lock, shared, in the transaction that records it, and looks whether the
object is there. The collector takes it alone, looks for references, and removes the object, in one transaction. So one
of them is first, and the other sees what it did. `docs/decisions/0010` has the argument in full.
"""

import hashlib
from collections.abc import Iterable
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Select, bindparam, func, select, tuple_, union
from sqlalchemy.orm import Session
from sqlalchemy.sql.selectable import CompoundSelect

from app.contracts.status import UploadStatus
from app.storage import ObjectStore, StoreUnavailable
from app.tables import Artifact, File, JobStep, ModelFile, Upload


def hold(tenant_id: str, digests: Iterable[str]) -> Select[object]:
    """Until the transaction ends, no collector removes these objects."""
    keys = sorted({_key(tenant_id, sha256) for sha256 in digests})
    key = func.unnest(bindparam(None, keys, ARRAY(BigInteger), unique=True)).column_valued("key")
    return select(func.pg_advisory_xact_lock_shared(key))


def hold_stored(session: Session, store: ObjectStore, *, tenant_id: str, digests: Iterable[str]) -> None:
    """For a worker about to record what it has put. Raises `StoreUnavailable` when some of it was collected since."""
    wanted = set(digests)
    session.execute(hold(tenant_id, wanted))
    if any(store.size(tenant_id=tenant_id, sha256=sha256) is None for sha256 in wanted):
        raise StoreUnavailable("an object that lay unused was removed just before it was to be used again")


def try_to_own(tenant_id: str, sha256: str) -> Select[bool]:
    """True if nobody is recording a reference now; until the transaction ends, nobody can."""
    return select(func.pg_try_advisory_xact_lock(_key(tenant_id, sha256)))


def referenced(objects: Iterable[tuple[str, str]]) -> CompoundSelect[str, Any]:
    """Those of the objects, by tenant and digest, that something refers to."""
    named = list(objects)
    owners: list[Select[str, Any]] = [select(t.tenant_id, t.sha256) for t in (File, ModelFile, Artifact, JobStep)]
    # its object may be there already, and its file is not yet
    owners.append(select(Upload.tenant_id, Upload.sha256).where(Upload.status == UploadStatus.VERIFYING))
    return union(
        *(
            owner.where(tuple_(owner.selected_columns.tenant_id, owner.selected_columns.sha256).in_(named))
            for owner in owners
        )
    )


def _key(tenant_id: str, sha256: str) -> int:
    """Two objects that share a key wait for each other now and then, and nothing worse."""
    digest = hashlib.sha256(f"object {tenant_id} {sha256}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)

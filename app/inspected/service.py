"""Creating, finding and removing resources that wait for an inspection."""

from typing import NamedTuple, TypeVar

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.contracts.codes import ProblemCode
from app.contracts.problem import refuse
from app.contracts.status import JobKind, Queue, ResourceStatus
from app.files import service as files
from app.files.sniff import Purpose
from app.ids import Prefix, new_id
from app.inspected.schemas import InspectedCreate
from app.jobs.submission import enqueue
from app.tables import Dataset, Job, Model

Resource = TypeVar("Resource", Model, Dataset)

INSPECTION_ATTEMPTS = 2
"""One more than one: a worker may be lost for reasons that are not the file's."""


class Kind(NamedTuple):
    """How the two kinds of resource differ."""

    noun: str
    prefix: Prefix
    purpose: Purpose
    job_kind: JobKind
    refusals: tuple[ProblemCode, ...] = ()
    """Of requests to create one, besides those that both have."""


MODEL = Kind("model", "mdl", "model", JobKind.INSPECT_MODEL)
DATASET = Kind("data set", "ds", "dataset", JobKind.INSPECT_DATASET, refusals=("preparation_invalid",))


def kind_of(table: type[Resource]) -> Kind:
    return MODEL if table is Model else DATASET


async def create(session: AsyncSession, table: type[Resource], wanted: InspectedCreate, *, tenant_id: str) -> Resource:
    """Record the resource and queue its inspection, in one transaction."""
    kind = kind_of(table)
    file = await files.get(session, wanted.file_id, tenant_id=tenant_id)
    if file.purpose != kind.purpose:
        raise refuse(
            "file_purpose_mismatch",
            f"The file was uploaded as a {file.purpose}.",
            pointer="/file_id",
            hint=f"Upload it again with purpose={kind.purpose}.",
        )
    row = table(
        id=new_id(kind.prefix),
        tenant_id=tenant_id,
        name=wanted.name or file.filename,
        file_id=file.id,
        format=file.format,
        status=ResourceStatus.INSPECTING,
        **wanted.declared(file.format),
    )
    session.add(row)
    await session.flush()
    await enqueue(session, _inspection(row, kind))
    return row


def _inspection(row: Model | Dataset, kind: Kind) -> Job:
    job = Job(
        id=new_id("job"),
        tenant_id=row.tenant_id,
        kind=kind.job_kind,
        queue=Queue.INSPECT,
        name=row.name,
        max_attempts=INSPECTION_ATTEMPTS,
    )
    if isinstance(row, Model):
        job.model_id = row.id
    else:
        job.calibration_dataset_id = row.id
    return job


async def get(session: AsyncSession, table: type[Resource], resource_id: str, *, tenant_id: str) -> Resource:
    row = await session.scalar(select(table).where(table.tenant_id == tenant_id, table.id == resource_id))
    if row is None:
        raise refuse("not_found", f"There is no such {kind_of(table).noun}.")
    return row


async def delete(session: AsyncSession, table: type[Resource], resource_id: str, *, tenant_id: str) -> None:
    """Remove a resource that no quantize job names; its own inspections go with it."""
    row = await get(session, table, resource_id, tenant_id=tenant_id)
    kind = kind_of(table)
    if row.status == ResourceStatus.INSPECTING:
        raise refuse("resource_in_use", f"The {kind.noun} is still being inspected.")
    column = Job.model_id if table is Model else Job.calibration_dataset_id
    inspections = await session.scalars(
        select(Job).where(Job.tenant_id == tenant_id, Job.kind == kind.job_kind, column == row.id)
    )
    for inspection in inspections:
        await session.delete(inspection)
    await session.flush()
    await session.delete(row)
    await files.refuse_if_in_use(session, f"A job names this {kind.noun}.")

"""The model and the data sets that a request for a job names, as far as there are such."""

from typing import NamedTuple

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.contracts.inspection import DatasetInspection, ModelInspection
from app.contracts.status import ResourceStatus
from app.jobs.schemas import JobValidate
from app.tables import Dataset, File, Model


class NamedDataset(NamedTuple):
    row: Dataset
    file_sha256: str

    @property
    def inspection(self) -> DatasetInspection | None:
        """None before it is ready."""
        if self.row.status != ResourceStatus.READY:
            return None
        return DatasetInspection.model_validate(self.row.inspection)


class Named(NamedTuple):
    """A field is None if there is no such thing, or the request names none."""

    model: Model | None
    calibration: NamedDataset | None
    evaluation: NamedDataset | None

    @property
    def model_inspection(self) -> ModelInspection | None:
        """None before it is ready."""
        if self.model is None or self.model.status != ResourceStatus.READY:
            return None
        return ModelInspection.model_validate(self.model.inspection)


async def look_up(session: AsyncSession, wanted: JobValidate, *, tenant_id: str) -> Named:
    model = await session.scalar(select(Model).where(Model.tenant_id == tenant_id, Model.id == wanted.model_id))
    ids = [i for i in (wanted.calibration_dataset_id, wanted.evaluation_dataset_id) if i]
    rows = (await session.execute(_datasets(tenant_id, ids))).all()
    datasets = {row.id: NamedDataset(row, sha256) for row, sha256 in rows}
    return Named(
        model, datasets.get(wanted.calibration_dataset_id or ""), datasets.get(wanted.evaluation_dataset_id or "")
    )


def _datasets(tenant_id: str, ids: list[str]) -> Select[Dataset, str]:
    joined = select(Dataset, File.sha256).join(File, File.id == Dataset.file_id)
    return joined.where(Dataset.tenant_id == tenant_id, Dataset.id.in_(ids))

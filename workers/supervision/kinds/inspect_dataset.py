"""The inspection of a data set."""

from collections.abc import Callable
from pathlib import Path

from sqlalchemy.orm import Session

from app.settings import Settings
from app.tables import Job
from workers.protocol.outcome import DatasetInspected
from workers.protocol.tasks import InspectDatasetTask
from workers.supervision.brief import Brief
from workers.supervision.held_job import HeldJob
from workers.supervision.kinds.inspection import STAGES, inspected, inspection_room_bytes, require_short
from workers.supervision.kinds.kind import Kind
from workers.supervision.named_data import named_data
from workers.supervision.transfers import Transfers


class InspectDataset(Kind[InspectDatasetTask, DatasetInspected]):
    stages = STAGES
    result = DatasetInspected
    takes_gpu = False
    keeps_steps = False

    def brief(self, session: Session, job: Job, settings: Settings) -> Brief[InspectDatasetTask]:
        data = named_data(session, job.calibration_dataset_id, as_name="dataset")
        task = InspectDatasetTask(
            dataset=data.path, max_unpacked_bytes=settings.max_unpacked_bytes, preparation=data.preparation
        )
        return Brief(task, {data.path: data.sha256})

    def refusal_without_sandbox(self, task: InspectDatasetTask) -> None:  # noqa: ARG002  no data set holds a program
        return None

    def room_bytes(self, brought_bytes: int) -> int:
        return inspection_room_bytes(brought_bytes)

    def keep(
        self,
        held: HeldJob,
        done: DatasetInspected,
        scratch: Path,  # noqa: ARG002  there are no files to be kept
        transfers: Transfers,  # noqa: ARG002
    ) -> Callable[[Session], None]:
        require_short(done.inspection, code="preparation_invalid", what_takes="The names of columns and classes take")
        return lambda session: inspected(session, held, done)

"""What the process that inspects a data set is given, and what it may say."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from app.contracts.inspection import DatasetInspection
from app.contracts.preparation import TextPreparation
from app.contracts.problem import ProblemFound
from app.settings import Settings
from tests.workers.supervision.conftest import Sessions
from tests.workers.supervision.kinds.conftest import DATA_SHA256, IMAGE, dataset, job
from workers.protocol.outcome import DatasetInspected
from workers.protocol.tasks import InspectDatasetTask
from workers.supervision.held_job import HeldJob
from workers.supervision.kinds.inspect_dataset import InspectDataset
from workers.supervision.transfers import Transfers

KIND = InspectDataset()


@pytest.mark.parametrize(("file_format", "path"), [("npz", "dataset.npz"), ("images", "dataset.zip")])
def test_the_inspection_of_a_data_set_is_told_the_preparation(session: Session, file_format: str, path: str) -> None:
    row = dataset(session, file_format, preparation=IMAGE.model_dump(mode="json"))
    brief = KIND.brief(session, job("inspect_dataset", calibration_dataset_id=row.id), Settings(max_unpacked_bytes=7))
    assert brief.task == InspectDatasetTask(dataset=path, max_unpacked_bytes=7, preparation=IMAGE)
    assert brief.digests == {path: DATA_SHA256}
    assert KIND.refusal_without_sandbox(brief.task) is None


def test_names_beyond_any_real_files_are_refused(tmp_path: Path, sessions: Sessions, store: Any) -> None:
    named = TextPreparation(text="t", classes=("\n" * 200,) * 5_300)  # 403 bytes each
    found = DatasetInspection(format="csv", num_samples=1, columns=(), has_labels=True, preparation=named)
    held = HeldJob(job("inspect_dataset", lease_token=1), Settings(), sessions, KIND.stages)
    with pytest.raises(ProblemFound, match="The names of columns and classes take 213") as refused:
        KIND.keep(held, DatasetInspected(inspection=found), tmp_path, Transfers(store, lambda: None))
    assert refused.value.problem.code == "preparation_invalid"
    assert len(refused.value.problem.model_dump_json()) < 1000

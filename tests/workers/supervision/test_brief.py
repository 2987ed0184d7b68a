"""What is brought lies where the task says, and is what it should be."""

from pathlib import Path

from app.storage.directory import DirectoryStore
from app.tables import DEFAULT_TENANT_ID
from tests.workers.supervision.conftest import CONTENT, SHA256
from workers.protocol.tasks import TASK, TASK_FILE, InspectModelTask
from workers.supervision.brief import Brief
from workers.supervision.transfers import Transfers


def test_what_is_brought_lies_where_the_task_says(tmp_path: Path, store: DirectoryStore) -> None:
    (scratch := tmp_path / "scratch").mkdir()
    brief = Brief(InspectModelTask(model="model/model.onnx"), {"model/model.onnx": SHA256, "data.csv": SHA256})
    brief.bring(Transfers(store, lambda: None), scratch, tenant_id=DEFAULT_TENANT_ID)
    assert TASK.validate_json((scratch / TASK_FILE).read_bytes()) == brief.task
    assert {(scratch / path).read_bytes() for path in (brief.task.model, "data.csv")} == {CONTENT}
    assert brief.bytes_in(scratch) == 2 * len(CONTENT)

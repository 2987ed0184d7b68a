"""What a job's process is given: its task, and the files that the task names."""

from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from app.contracts.model import Contract
from workers.protocol.tasks import TASK_FILE
from workers.supervision.transfers import Transfers

K = TypeVar("K", bound=Contract)


@dataclass(frozen=True)
class Brief(Generic[K]):
    task: K
    digests: dict[str, str]
    """Of each file, by its path in the scratch folder."""

    def bring(self, transfers: Transfers, scratch: Path, *, tenant_id: str) -> None:
        """Download every file, verified. The task is written last."""
        for path, sha256 in self.digests.items():
            (scratch / path).parent.mkdir(mode=0o700, exist_ok=True)
            transfers.download(scratch / path, tenant_id=tenant_id, sha256=sha256)
        (scratch / TASK_FILE).write_text(self.task.model_dump_json())

    def bytes_in(self, scratch: Path) -> int:
        """What was brought."""
        return sum((scratch / path).stat().st_size for path in self.digests)

"""Data sets: as models, and besides they say how their rows become a model's inputs."""

from pathlib import Path
from typing import cast

from lowbit.files import Files, UploadProgress
from lowbit.folder_contents import title
from lowbit.inspected import Inspected, OnPacked
from lowbit.preparations import Preparation
from lowbit.resources import Dataset
from lowbit.wire import Wire, address


class Datasets(Inspected[Dataset]):
    def __init__(self, wire: Wire, files: Files) -> None:
        super().__init__(wire, files, path="datasets", purpose="dataset")

    def create(self, file_id: str, name: str, preparation: Preparation | None = None) -> Dataset:
        """Register an uploaded file. Its inspection has only begun when this returns."""
        body: dict[str, object] = {"file_id": file_id, "name": name}
        if preparation is not None:
            body["preparation"] = preparation
        return cast(Dataset, self._wire.post(address("datasets"), body))

    def upload(
        self,
        path: str | Path,
        name: str | None = None,
        *,
        preparation: Preparation | None = None,
        on_progress: UploadProgress | None = None,
        on_packed: OnPacked | None = None,
    ) -> Dataset:
        """Send a file or a folder of images, register it, and wait until it was inspected. Raises as for models."""
        file = self._send(Path(path), on_progress, on_packed)
        return self.wait(self.create(file["id"], name or title(Path(path)), preparation)["id"])

"""Models and data sets: an uploaded file under a name, inspected by a worker before a job may use it."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from lowbit.errors import WaitTimeout, error_for
from lowbit.files import Files, UploadProgress, sha256_of
from lowbit.folder_contents import Contents, title, to_pack
from lowbit.packing import packed
from lowbit.patience import LONGEST_WAIT_SECONDS, even_pace
from lowbit.problem import Problem
from lowbit.resources import File, Inspectable, Page, Purpose
from lowbit.wire import Call, Wire, address

Kind = TypeVar("Kind", bound=Inspectable)

OnPacked = Callable[[Contents], None]
"""Called with what is packed into one archive, before that is written."""

INSPECTION_SECONDS = 600.0
"""Inspections take seconds; a queue of them may take minutes."""


class Inspected(Generic[Kind]):
    """The verbs that models and data sets share."""

    def __init__(self, wire: Wire, files: Files, *, path: str, purpose: Purpose) -> None:
        self._wire = wire
        self._files = files
        self._path = path
        self._purpose = purpose

    def create(self, file_id: str, name: str) -> Kind:
        """Register an uploaded file. Its inspection has only begun when this returns."""
        return cast(Kind, self._wire.post(address(self._path), {"file_id": file_id, "name": name}))

    def upload(
        self,
        path: str | Path,
        name: str | None = None,
        *,
        on_progress: UploadProgress | None = None,
        on_packed: OnPacked | None = None,
    ) -> Kind:
        """Send a file or a folder, register it, and wait until it was inspected.

        A folder is packed first; `on_packed` is told what goes into the archive and what stays behind.

        Raises:
            UnsuitableSource: a folder holds nothing that the service takes.
            ProblemError: the service refused the file, at once or after its inspection.

        """
        file = self._send(Path(path), on_progress, on_packed)
        return self.wait(self.create(file["id"], name or title(Path(path)))["id"])

    def get(self, resource_id: str, *, wait_seconds: float = 0.0) -> Kind:
        """The present state; with `wait_seconds`, once it is inspected or that time is over."""
        headers = {"Prefer": f"wait={int(wait_seconds)}"} if wait_seconds >= 1 else {}
        call = Call("GET", address(self._path, resource_id), headers=headers, wait_seconds=wait_seconds)
        return cast(Kind, self._wire.json(call))

    def wait(self, resource_id: str, timeout: float = INSPECTION_SECONDS) -> Kind:
        """The resource once it is ready.

        Raises:
            ProblemError: it was rejected; the error is the resource's own `problem`.
            WaitTimeout: the inspection takes longer than `timeout` seconds.

        """
        deadline = time.monotonic() + timeout
        resource = self.get(resource_id)
        while resource["status"] == "inspecting":
            left = deadline - time.monotonic()
            if left <= 0:
                raise WaitTimeout(f"{resource_id} is still being inspected after {timeout:g} s")
            with even_pace(left):
                resource = self.get(resource_id, wait_seconds=min(left, LONGEST_WAIT_SECONDS))
        if resource["status"] == "rejected":
            raise error_for(Problem.parse(_why(resource), status=422))
        return resource

    def list(self, *, limit: int = 20, after: str | None = None) -> Page[Kind]:
        cursor = {"after": after} if after else {}
        return cast(Page[Kind], self._wire.get(address(self._path), limit=limit, **cursor))

    def delete(self, resource_id: str) -> None:
        self._wire.delete(address(self._path, resource_id))

    def _send(self, path: Path, on_progress: UploadProgress | None, on_packed: OnPacked | None) -> File:
        contents = to_pack(path, self._purpose)
        if contents is None:
            return self._files.upload(path, self._purpose, on_progress)
        if on_packed is not None:
            on_packed(contents)
        with packed(contents) as archive:
            told = None if on_progress is None else lambda _, done, total: on_progress(path, done, total)
            return self._files.upload(archive, self._purpose, told, sha256=sha256_of(archive).hex())


def _why(resource: Inspectable) -> dict[str, Any]:
    return resource["problem"] or {"title": f"{resource['id']} was rejected", "status": 422}

"""One job: its state as last seen, and what can be done with it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from lowbit.download import DownloadProgress, download_artifacts
from lowbit.errors import JobFailed, JobNotFinished, ObjectiveUnmet, WaitTimeout
from lowbit.events import Event, job_events
from lowbit.patience import LONGEST_WAIT_SECONDS, even_pace
from lowbit.resources import Artifact, JobData, JobResult, Layer, Notice, Progress, Variant
from lowbit.wire import Call, Wire, address

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

UpdateCallback = Callable[["Job"], None]


class Job:
    """A handle. Its properties show the state of the last answer; `refresh` and `wait` fetch a newer one."""

    def __init__(self, wire: Wire, data: JobData, etag: str | None = None) -> None:
        self._wire = wire
        self._etag = etag
        self.data = data

    @classmethod
    def fetch(cls, wire: Wire, job_id: str, *, wait_seconds: float = 0.0) -> Job:
        """The job of this id. `wait_seconds` lets the service hold the answer back until the job is done."""
        data, etag = _get(wire, job_id, etag=None, wait_seconds=wait_seconds)
        assert data is not None  # 304 answers only to an ETag
        return cls(wire, data, etag)

    @property
    def id(self) -> str:
        return self.data["id"]

    @property
    def status(self) -> str:
        return self.data["status"]

    @property
    def done(self) -> bool:
        return self.data["done"]

    @property
    def stage(self) -> str | None:
        return self.data["stage"]

    @property
    def progress(self) -> Progress | None:
        return self.data["progress"]

    @property
    def result(self) -> JobResult | None:
        return self.data["result"]

    @property
    def error(self) -> dict[str, Any] | None:
        return self.data["error"]

    @property
    def warnings(self) -> list[Notice]:
        return self.data["warnings"]

    def refresh(self, *, wait_seconds: float = 0.0) -> Job:
        """Fetch the present state; with `wait_seconds`, as soon as it differs from the state known here.

        Without an ETag the service cannot tell what is known here, and would wait for the end of the job: the first
        refresh of a new job answers at once.
        """
        wait_seconds = wait_seconds if self._etag is not None else 0.0
        data, etag = _get(self._wire, self.id, etag=self._etag, wait_seconds=wait_seconds)
        if data is not None:
            self.data, self._etag = data, etag
        return self

    def wait(self, timeout: float | None = None, on_update: UpdateCallback | None = None) -> Job:
        """Follow the job to its end. `on_update` sees the first state and every later one.

        Raises:
            JobFailed: it failed or was cancelled.
            WaitTimeout: it is not done after `timeout` seconds. It goes on; nothing is lost.

        """
        deadline = time.monotonic() + timeout if timeout is not None else float("inf")
        notify = on_update or (lambda _: None)
        notify(self)
        while not self.done:
            left = deadline - time.monotonic()
            if left <= 0:
                raise WaitTimeout(f"{self.id} is still {self.status} after {timeout:g} s; it goes on")
            with even_pace(left):
                self.refresh(wait_seconds=min(left, LONGEST_WAIT_SECONDS))
            notify(self)
        if self.status != "succeeded":
            raise JobFailed(self)
        return self

    def events(self, *, after: int | None = None, timeout: float | None = None) -> Iterator[Event]:
        """What happens to the job until it is done, first the state it is in. Cut connections are made again.

        The handle's own properties keep up with the events. With `after`, the number of an event, what has happened
        since is told instead of the state; 0 tells everything.

        Raises:
            WaitTimeout: it is not done after `timeout` seconds, looked at whenever the service says something.

        """
        for event in job_events(self._wire, self.id, after=after, timeout=timeout):
            self.data, self._etag = state_after(self.data, event), None
            yield event

    def log(self) -> Iterator[Event]:
        """The lines that the job has logged so far."""
        call = Call("GET", address("jobs", self.id, "logs"), headers={"Accept": "application/x-ndjson"})
        with self._wire.open(call) as response:
            for line in response.iter_lines():
                yield Event("log", json.loads(line))

    def raise_for_objective(self) -> Job:
        """Raise `ObjectiveUnmet` when no candidate met the objective."""
        if self.result is not None and self.result["outcome"] == "objective_unmet":
            raise ObjectiveUnmet(self)
        return self

    def cancel(self) -> Job:
        """Ask the service to stop. The job may still be `cancelling` when this returns."""
        self.data, self._etag = cast(JobData, self._wire.post(address("jobs", self.id, "cancel"), None)), None
        return self

    def variants(self) -> list[Variant]:
        """Every candidate that was tried, the float baseline included."""
        return cast(list[Variant], list(self._wire.pages(address("jobs", self.id, "variants"))))

    def artifacts(self) -> list[Artifact]:
        """Every file that the job left."""
        return cast(list[Artifact], list(self._wire.pages(address("jobs", self.id, "artifacts"))))

    def layers(self) -> list[Layer]:
        """What became of each layer of the best variant, in the order of the graph. Raises as `download` does."""
        return layers_of(self._wire, self._best_variant_id())

    def download(self, directory: str | Path, on_progress: DownloadProgress | None = None) -> list[Path]:
        """Write the best model and the report into `directory`, and say where they are.

        A model in operators of its runtime's own comes first, its portable form behind it.

        Raises:
            JobFailed: the job failed or was cancelled.
            JobNotFinished: it is not done yet.

        """
        wanted = (None, self._best_variant_id())
        chosen = [artifact for artifact in self.artifacts() if artifact["variant_id"] in wanted]
        chosen.sort(key=lambda artifact: (artifact["kind"], artifact["id"]))  # models before the report
        return download_artifacts(self._wire, chosen, directory, on_progress)

    def _best_variant_id(self) -> str:
        if self.result is None:
            raise JobFailed(self) if self.done else JobNotFinished(self)
        return self.result["best_variant_id"]


def state_after(data: JobData, event: Event) -> JobData:
    """The state of a job, given what it was and what happened."""
    told = event.data
    match event.type:
        case "snapshot" | "done":
            return cast(JobData, {key: value for key, value in told.items() if key not in {"job_id", "seq"}})
        case "status":
            return {**data, "status": told["status"], "attempt": told["attempt"]}
        case "stage":
            return {**data, "stage": told["stage"], "progress": None}
        case "progress":
            progress = {key: told[key] for key in ("fraction", "completed", "total", "unit")}
            return {**data, "stage": told["stage"], "progress": cast(Progress, progress)}
        case "warning":
            return {**data, "warnings": [*data["warnings"], {"code": told["code"], "detail": told["detail"]}]}
        case _:
            return data


def layers_of(wire: Wire, variant_id: str) -> list[Layer]:
    """What became of each layer of one variant; none of the float baseline's."""
    return cast(list[Layer], list(wire.pages(address("variants", variant_id, "layers"))))


def _get(wire: Wire, job_id: str, *, etag: str | None, wait_seconds: float) -> tuple[JobData | None, str | None]:
    """The state and its ETag; None for the state when it is still the one of `etag`."""
    headers = {"Prefer": f"wait={int(wait_seconds)}"} if wait_seconds >= 1 else {}
    if etag is not None:
        headers["If-None-Match"] = etag
    with wire.open(Call("GET", address("jobs", job_id), headers=headers, wait_seconds=wait_seconds)) as response:
        if response.status_code == 304:
            return None, etag
        return cast(JobData, wire.read_json(response)), response.headers.get("ETag")

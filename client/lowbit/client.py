"""The client: one object for one service."""

from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self, Unpack, cast

import httpx2

from lowbit.admin import Admin
from lowbit.datasets import Datasets
from lowbit.discovery import locate
from lowbit.download import DownloadProgress, download_artifacts
from lowbit.files import Files, UploadProgress
from lowbit.inspected import Inspected, OnPacked
from lowbit.job import Job, layers_of
from lowbit.jobs import Jobs
from lowbit.preparations import Preparation
from lowbit.request import JobOptions, job_request
from lowbit.resources import Artifact, Layer, Model, RecipePreset, Variant
from lowbit.wire import Wire, address

TIMEOUT_SECONDS = 30.0


class Client:
    """A connection to a Lowbit service.

    Without arguments it uses LOWBIT_URL and LOWBIT_TOKEN, else the service of LOWBIT_DATA_DIR, else the one that runs
    on this machine. `timeout` is in seconds and bounds each silence of the service, not a whole transfer. Use it as a
    context manager, or `close` it. `transport` replaces the network layer, for example by one with certificates of its
    own.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        timeout: float = TIMEOUT_SECONDS,
        *,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self._wire = Wire(locate(url, token), timeout_seconds=timeout, transport=transport)
        self.url = self._wire.url
        self.files = Files(self._wire)
        self.models: Inspected[Model] = Inspected(self._wire, self.files, path="models", purpose="model")
        self.datasets = Datasets(self._wire, self.files)
        self.jobs = Jobs(self._wire)
        self.admin = Admin(self._wire)

    def close(self) -> None:
        self._wire.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def recipes(self) -> list[RecipePreset]:
        """The presets: named recipes to start from."""
        return cast(list[RecipePreset], list(self._wire.pages("/v1/recipes")))

    def variants(self, job: Job | str) -> list[Variant]:
        """Every candidate that the job tried, the float baseline included."""
        return self._job(job).variants()

    def variant(self, variant_id: str) -> Variant:
        return cast(Variant, self._wire.get(address("variants", variant_id)))

    def layers(self, what: Job | str) -> list[Layer]:
        """What became of each layer of a job's best variant, or of a variant (`var_...`), in the order of the graph."""
        if isinstance(what, str) and what.startswith("var_"):
            return layers_of(self._wire, what)
        return self._job(what).layers()

    def artifacts(self, job: Job | str) -> list[Artifact]:
        """Every file that the job left."""
        return self._job(job).artifacts()

    def download(
        self, what: Job | str, directory: str | Path, on_progress: DownloadProgress | None = None
    ) -> list[Path]:
        """Write files into `directory`: of a job its best model and report, of a variant (`var_...`) all it has."""
        if isinstance(what, str) and what.startswith("var_"):
            return download_artifacts(self._wire, self.variant(what)["artifacts"], directory, on_progress)
        return self._job(what).download(directory, on_progress)

    def quantize(
        self,
        model: str | Path,
        *,
        calibration: str | Path,
        evaluation: str | Path | None = None,
        preparation: Preparation | None = None,
        on_upload: UploadProgress | None = None,
        on_packed: OnPacked | None = None,
        **options: Unpack[JobOptions],
    ) -> Job:
        """Start a job and return its handle. Model and data are paths of files or folders, which are uploaded, or ids.

        `preparation` holds for all data that is uploaded here.

        Raises:
            ProblemError: a file was rejected, or the request does not fit the model and the data.
            UnsuitableSource: a folder holds nothing that the service takes.
            FileNotFoundError: a path names no file.

        """
        sending = Sending(preparation, on_upload, on_packed)
        model_id = ready_model(self, model, sending)
        calibration_id = ready_dataset(self, calibration, sending)
        evaluation_id = ready_dataset(self, evaluation, sending) if evaluation is not None else None
        return self.jobs.create(job_request(model_id, calibration_id, evaluation_id, options))

    def _job(self, job: Job | str) -> Job:
        return job if isinstance(job, Job) else self.jobs.get(job)


class Sending(NamedTuple):
    """What is said about everything that one call uploads."""

    preparation: Preparation | None = None
    on_progress: UploadProgress | None = None
    on_packed: OnPacked | None = None


def ready_model(client: Client, source: str | Path, sending: Sending) -> str:
    """The id of an inspected model, from its id or from a path to upload."""
    if is_id("mdl_", source):
        return client.models.wait(str(source))["id"]
    return client.models.upload(source, on_progress=sending.on_progress, on_packed=sending.on_packed)["id"]


def ready_dataset(client: Client, source: str | Path, sending: Sending) -> str:
    """The id of an inspected data set, from its id or from a path to upload."""
    if is_id("ds_", source):
        return client.datasets.wait(str(source))["id"]
    return client.datasets.upload(
        source,
        preparation=sending.preparation,
        on_progress=sending.on_progress,
        on_packed=sending.on_packed,
    )["id"]


def is_id(prefix: str, source: str | Path) -> bool:
    """A file or folder of that name comes first."""
    return isinstance(source, str) and source.startswith(prefix) and not Path(source).exists()

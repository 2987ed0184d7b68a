"""`lowbit quantize`: from two files to a measured int8 model, in one command."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from lowbit.command.assignments import apply_assignments
from lowbit.command.dry_run import report_dry_run
from lowbit.command.following import conclude, follow, leave
from lowbit.command.options import Format, FormatOption, OutputOption, TimeoutOption, examples, output_folder
from lowbit.command.progress import Display, display
from lowbit.command.session import connected
from lowbit.request import DEFAULT_RECIPE, DEFAULT_TARGET, JobOptions, job_request
from lowbit.resources import JobRequest

if TYPE_CHECKING:
    from lowbit.client import Client

EPILOG = examples(
    "lowbit quantize model.onnx --calibration calibration.npz",
    "lowbit quantize model.onnx --calibration calibration.npz --evaluation test.npz --max-accuracy-drop 0.01 -o out",
    "lowbit quantize mdl_0198... --calibration ds_0198... --recipe int8-fast --set recipe.per_channel=false",
    "lowbit quantize model.onnx --calibration calibration.npz --detach --format quiet",
)


def source(prefix: str, value: str) -> str:
    """A path or an id. A mistyped path is a mistake in usage, found before anything is sent."""
    if Path(value).is_file() or value.startswith(prefix):
        return value
    raise typer.BadParameter(f"there is no file {value!r}, and it is not an id ({prefix}...)")


def model_source(value: str) -> str:
    return source("mdl_", value)


def dataset_source(value: str | None) -> str | None:
    return None if value is None else source("ds_", value)


def quantize(  # noqa: PLR0913, PLR0917 - each argument is an option of the command
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="An ONNX file, or the id of a model.", callback=model_source)
    ],
    calibration: Annotated[
        str, typer.Option(metavar="FILE", help="Inputs by name as .npz, or a data set's id.", callback=dataset_source)
    ],
    evaluation: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Inputs plus `labels` as .npz, or an id.", callback=dataset_source),
    ] = None,
    target: Annotated[
        str, typer.Option(metavar="NAME", help="The runtime that will serve the model.")
    ] = DEFAULT_TARGET,
    recipe: Annotated[str, typer.Option(metavar="NAME", help="A preset; see `lowbit recipes list`.")] = DEFAULT_RECIPE,
    max_accuracy_drop: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, metavar="FRACTION", help="Largest loss of accuracy: 0.01 is one point."),
    ] = None,
    assignments: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Set a field, as recipe.per_channel=false.")
    ] = None,
    name: Annotated[str | None, typer.Option(metavar="TEXT", help="A name for the job.")] = None,
    output: OutputOption = None,
    detach: Annotated[bool, typer.Option("--detach", help="Start the job and do not wait.")] = False,  # noqa: FBT002 - a switch
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, create no job.")] = False,  # noqa: FBT002 - a switch
    timeout: TimeoutOption = None,
    output_format: FormatOption = Format.HUMAN,
) -> None:
    """Quantize MODEL, measure it, download the best variant.

    The report comes with it. Files are uploaded and inspected first. Ctrl-C lets the job go on and prints the command
    that resumes watching it.
    """
    options: JobOptions = {"target": target, "recipe": recipe}
    if max_accuracy_drop is not None:
        options["max_accuracy_drop"] = max_accuracy_drop
    if name is not None:
        options["name"] = name
    # the form of --set is checked before anything is sent
    apply_assignments({"recipe": {}}, assignments or [])
    with connected(output_format) as client:
        with display(output_format) as shown:
            request = _prepare(client, (model, calibration, evaluation), options, shown)
            apply_assignments(cast(dict[str, Any], request), assignments or [])
            if dry_run:
                report_dry_run(client.jobs.validate(request), output_format)
                return
            job = client.jobs.create(request)
            if detach:
                leave(job, output_format)
                return
            follow(job, shown, timeout=timeout, output=output_format)
            files = job.download(output_folder(output, job.id), shown.transfer) if job.result is not None else []
        conclude(job, output_format, files)


def _prepare(client: "Client", sources: tuple[str, str, str | None], options: JobOptions, shown: Display) -> JobRequest:
    from lowbit.client import ready  # noqa: PLC0415 - with the HTTP library, which --help does not need

    model, calibration, evaluation = sources
    return job_request(
        ready(client.models, "mdl_", model, shown.transfer),
        ready(client.datasets, "ds_", calibration, shown.transfer),
        ready(client.datasets, "ds_", evaluation, shown.transfer) if evaluation is not None else None,
        options,
    )

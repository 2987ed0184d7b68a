"""`lowbit models upload` and `lowbit datasets upload`."""

from typing import Annotated

import typer

from lowbit.command.declaring import Declaration, declaring
from lowbit.command.facts import print_one
from lowbit.command.options import Format, FormatOption
from lowbit.command.progress import display
from lowbit.command.session import connected
from lowbit.command.sources import dataset_path, model_path

NameOption = Annotated[str | None, typer.Option("--name", metavar="TEXT", help="A name to find it by.  [the path's]")]


def upload_model(
    path: Annotated[
        str,
        typer.Argument(metavar="PATH", help="An ONNX file, an archive, or a folder with a model.", callback=model_path),
    ],
    name: NameOption = None,
    output: FormatOption = Format.HUMAN,
) -> None:
    """Upload a model and wait until it is inspected."""
    with connected(output) as client:
        with display(output) as shown:
            model = client.models.upload(path, name, on_progress=shown.transfer, on_packed=shown.packing)
        print_one(model, output)


@declaring
def upload_dataset(
    path: Annotated[
        str, typer.Argument(metavar="PATH", help="Arrays, a table, or a folder of images.", callback=dataset_path)
    ],
    name: NameOption = None,
    *,
    declaration: Declaration,
    output: FormatOption = Format.HUMAN,
) -> None:
    """Upload a data set and wait until it is inspected."""
    preparation = declaration.of([path])
    with connected(output) as client:
        with display(output) as shown:
            dataset = client.datasets.upload(
                path, name, preparation=preparation, on_progress=shown.transfer, on_packed=shown.packing
            )
        print_one(dataset, output)

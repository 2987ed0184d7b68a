"""`lowbit models` and `lowbit datasets`: the same four verbs over two kinds of resource."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lowbit.command.facts import print_one
from lowbit.command.figures import size
from lowbit.command.options import AfterOption, Format, FormatOption, LimitOption, examples
from lowbit.command.printing import print_json, print_lines, print_table
from lowbit.command.session import connected
from lowbit.command.uploading import upload_dataset, upload_model

if TYPE_CHECKING:
    from lowbit.client import Client
    from lowbit.inspected import Inspected


class InspectedCommands:
    """The commands of one kind. `kind` is the name of the client's collection."""

    def __init__(
        self, kind: str, *, noun: str, prefix: str, upload: Callable[..., None], files: tuple[str, ...]
    ) -> None:
        self.kind = kind
        self.app = typer.Typer(help=f"Upload, list and delete {noun}s.", no_args_is_help=True, rich_markup_mode=None)
        self._add("upload", upload, f"Upload a {noun} and wait until it is inspected.", *files)
        self._add("list", self.list, f"List {noun}s, the newest first.", "--limit 5", alias="ls")
        self._add("show", self.show, f"Show what the inspection of a {noun} found.", f"{prefix}0198...")
        self._add("delete", self.delete, f"Delete a {noun}.", f"{prefix}0198...", alias="rm")

    def _add(self, name: str, command: Any, text: str, *typed: str, alias: str | None = None) -> None:  # noqa: ANN401 - any signature
        epilog = examples(*(f"lowbit {self.kind} {name} {arguments}" for arguments in typed))
        self.app.command(name, help=text, epilog=epilog)(command)
        if alias is not None:
            self.app.command(alias, help=text, hidden=True)(command)

    def list(self, limit: LimitOption = 20, after: AfterOption = None, output: FormatOption = Format.HUMAN) -> None:
        with connected(output) as client:
            page = self._collection(client).list(limit=limit, after=after)
        if output is Format.JSON:
            print_json(page)
        elif output is Format.QUIET:
            print_lines(resource["id"] for resource in page["data"])
        else:
            rows = [(r["id"], r["status"], r["name"], size(r["bytes"]), r["created_at"]) for r in page["data"]]
            print_table(("ID", "STATUS", "NAME", "SIZE", "CREATED"), rows)

    def show(
        self, resource_id: Annotated[str, typer.Argument(metavar="ID")], output: FormatOption = Format.HUMAN
    ) -> None:
        with connected(output) as client:
            print_one(self._collection(client).get(resource_id), output)

    def delete(
        self, resource_id: Annotated[str, typer.Argument(metavar="ID")], output: FormatOption = Format.HUMAN
    ) -> None:
        with connected(output) as client:
            self._collection(client).delete(resource_id)
        if output is Format.JSON:
            print_json({"id": resource_id, "deleted": True})
        else:
            print_lines([resource_id if output is Format.QUIET else f"{resource_id} is deleted"])

    def _collection(self, client: "Client") -> "Inspected[Any]":
        return client.models if self.kind == "models" else client.datasets


models = InspectedCommands(
    "models",
    noun="model",
    prefix="mdl_",
    upload=upload_model,
    files=("model.onnx --name first", "my-checkpoint/", "model.tar.gz"),
).app
datasets = InspectedCommands(
    "datasets",
    noun="data set",
    prefix="ds_",
    upload=upload_dataset,
    files=(
        "calibration.npz --name first",
        "reviews.jsonl --text review --label stars",
        "photos/ --image-size 224x224 --image-mean 0.485,0.456,0.406 --image-std 0.229,0.224,0.225",
    ),
).app

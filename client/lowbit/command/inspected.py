"""`lowbit models` and `lowbit datasets`: the same four verbs over two kinds of resource."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lowbit.command.figures import size
from lowbit.command.options import AfterOption, Format, FormatOption, LimitOption, examples
from lowbit.command.printing import print_facts, print_json, print_lines, print_table
from lowbit.command.progress import display
from lowbit.command.session import connected
from lowbit.problem import Problem

if TYPE_CHECKING:
    from lowbit.client import Client
    from lowbit.inspected import Inspected


class InspectedCommands:
    """The commands of one kind. `kind` is the name of the client's collection."""

    def __init__(self, kind: str, *, noun: str, file: str, prefix: str) -> None:
        self.kind = kind
        self.app = typer.Typer(help=f"Upload, list and delete {noun}s.", no_args_is_help=True, rich_markup_mode=None)
        self._add("upload", self.upload, f"Upload a {noun} and wait until it is inspected.", f"{file} --name first")
        self._add("list", self.list, f"List {noun}s, the newest first.", "--limit 5", alias="ls")
        self._add("show", self.show, f"Show what the inspection of a {noun} found.", f"{prefix}0198...")
        self._add("delete", self.delete, f"Delete a {noun}.", f"{prefix}0198...", alias="rm")

    def _add(self, name: str, command: Any, text: str, example: str, *, alias: str | None = None) -> None:  # noqa: ANN401 - any signature
        register = self.app.command(name, help=text, epilog=examples(f"lowbit {self.kind} {name} {example}"))
        register(command)
        if alias is not None:
            self.app.command(alias, help=text, hidden=True)(command)

    def upload(
        self,
        file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, metavar="FILE", help="The file to send.")],
        name: Annotated[str | None, typer.Option(metavar="TEXT", help="A name to find it by.  [the file's]")] = None,
        output: FormatOption = Format.HUMAN,
    ) -> None:
        with connected(output) as client:
            with display(output) as shown:
                resource = self._collection(client).upload(file, name, on_progress=shown.transfer)
            _print_one(resource, output)

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
            _print_one(self._collection(client).get(resource_id), output)

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


def _print_one(resource: Mapping[str, Any], output: Format) -> None:
    if output is Format.JSON:
        print_json(resource)
    elif output is Format.QUIET:
        print_lines([resource["id"]])
    else:
        print_facts(facts(resource))


def facts(resource: Mapping[str, Any]) -> dict[str, str]:
    """The lines of `show`. What the inspection has not found yet is left out."""
    told = {key: str(resource[key]) for key in _PLAIN if resource.get(key) is not None}
    told["size"] = size(resource["bytes"])
    for key in ("inputs", "outputs", "columns"):
        for tensor in resource.get(key) or ():
            told[f"{key[:-1]} {tensor['name']}"] = f"{tensor['dtype']} [{', '.join(map(str, tensor['shape']))}]"
    for warning in resource["warnings"]:
        told[f"warning {warning['code']}"] = warning["detail"]
    if resource["problem"]:
        problem = Problem.parse(resource["problem"])
        told["problem"] = f"{problem.title}. {problem.detail}" + (f" Hint: {problem.hint}" if problem.hint else "")
    return told


_PLAIN = (
    "id",
    "name",
    "status",
    "format",
    "sha256",
    "opset",
    "parameters",
    "already_quantized",
    "num_samples",
    "has_labels",
    "created_at",
)

models = InspectedCommands("models", noun="model", file="model.onnx", prefix="mdl_").app
datasets = InspectedCommands("datasets", noun="data set", file="calibration.npz", prefix="ds_").app

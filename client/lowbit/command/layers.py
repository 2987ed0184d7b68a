"""The layers of one variant as a table."""

from collections.abc import Sequence

from lowbit.command.figures import NOT_MEASURED, decibels
from lowbit.command.options import Format
from lowbit.command.printing import print_json, print_lines, print_table
from lowbit.resources import Layer

HEADER = ("NODE", "OP", "QUANTIZED", "SQNR", "RANGE", "REASON")


def print_layers(layers: Sequence[Layer], output: Format) -> None:
    """`quiet` prints the names of the nodes: what `recipe.nodes_to_exclude` takes."""
    if output is Format.JSON:
        print_json({"object": "list", "data": list(layers)})
    elif output is Format.QUIET:
        print_lines(layer["node"] for layer in layers)
    else:
        print_table(HEADER, [_row(layer) for layer in layers])


def _row(layer: Layer) -> tuple[str, str, str, str, str, str]:
    figures = layer["figures"]
    sqnr = decibels(figures["output_sqnr_db"] if figures else None)
    method = figures["range_method"] if figures else NOT_MEASURED
    return layer["node"], layer["op_type"], "yes" if layer["quantized"] else "no", sqnr, method, layer["reason"]

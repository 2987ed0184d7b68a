"""Whether a preparation makes sense for a file, judged by its format alone."""

from app.contracts.formats import DatasetFormat
from app.contracts.preparation import Preparation
from app.contracts.problem import refuse

TEXT_FORMATS: frozenset[DatasetFormat] = frozenset({"jsonl", "csv", "parquet"})
IMAGE_FORMATS: frozenset[DatasetFormat] = frozenset({"images"})


def refuse_unsuited(preparation: Preparation, file_format: str) -> None:
    """Raises ProblemFound."""
    suited = TEXT_FORMATS if preparation.kind == "text" else IMAGE_FORMATS
    if file_format in suited:
        return
    raise refuse(
        "preparation_invalid",
        f"A preparation of kind '{preparation.kind}' says nothing about a file of the format {file_format}.",
        pointer="/preparation/kind",
        hint=_hint(file_format),
    )


def _hint(file_format: str) -> str:
    if file_format in TEXT_FORMATS:
        return 'Say {"kind": "text", "text": "<column>"}, or leave it out.'
    if file_format in IMAGE_FORMATS:
        return 'Say {"kind": "image", "height": 224, "width": 224}, or leave it out if the model brings its own.'
    return "Leave it out: the arrays of this format are the model's inputs already."

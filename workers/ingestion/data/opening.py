"""Any data set as the rows that a model takes: the file's format, then how its columns are prepared."""

from pathlib import Path
from typing import Protocol

from app.contracts.formats import EXTENSIONS, DatasetFormat
from app.contracts.inspection import ModelInspection
from app.contracts.preparation import ImagePreparation, Preparation, TextPreparation
from app.contracts.problem import refuse
from workers.ingestion.data.csv_table import open_csv
from workers.ingestion.data.jsonl import open_jsonl
from workers.ingestion.data.npz import open_archive
from workers.ingestion.data.preparations import checked, inferred, label_column
from workers.ingestion.data.row_table import RowTable
from workers.ingestion.data.safetensors_table import open_safetensors
from workers.ingestion.data.samples import LABELS, Samples
from workers.ingestion.data.table import Table, column_of
from workers.ingestion.data.text import TextSamples
from workers.ingestion.data.text_labels import Warn, text_labels
from workers.ingestion.data.tokenization import tokenization
from workers.ingestion.data.written_numbers import as_model_numbers


class _Opens(Protocol):
    def __call__(self, path: Path, *, max_unpacked_bytes: int | None = None) -> Table: ...


def _open_parquet(path: Path, *, max_unpacked_bytes: int | None = None) -> Table:
    from workers.ingestion.data.parquet_table import open_parquet  # noqa: PLC0415  a fifth of all that a job loads

    return open_parquet(path, max_unpacked_bytes=max_unpacked_bytes)


_TABLES: dict[DatasetFormat, _Opens] = {
    "npz": open_archive,
    "safetensors": open_safetensors,
    "parquet": _open_parquet,
    "jsonl": open_jsonl,
    "csv": open_csv,
}
_FORMATS: dict[str, DatasetFormat] = {EXTENSIONS[name]: name for name in (*_TABLES, "images")}


def format_of(path: Path) -> DatasetFormat:
    """Told by the suffix, which the service gives. Raises ProblemFound."""
    if path.suffix not in _FORMATS:
        raise refuse("dataset_format_not_supported", f"Data sets are {', '.join(_FORMATS)}.")
    return _FORMATS[path.suffix]


def open_table(path: Path, *, max_unpacked_bytes: int | None = None) -> Table:
    """A data set of columns, as it is stored. Raises ProblemFound."""
    return _TABLES[format_of(path)](path, max_unpacked_bytes=max_unpacked_bytes)


def open_samples(
    path: Path,
    *,
    preparation: Preparation | None,
    model: ModelInspection,
    model_folder: Path,
    max_unpacked_bytes: int | None = None,
    warn: Warn | None = None,
) -> Samples:
    """The rows of a data set as this model's inputs. Raises ProblemFound."""
    if format_of(path) == "images":
        return _images(path, preparation, model, warn)
    table = open_table(path, max_unpacked_bytes=max_unpacked_bytes)
    if preparation is None and any(column_of(table, i.name) is None for i in model.inputs):
        preparation = inferred(table)
    if preparation is not None:
        return _text(table, checked(preparation, table), model, model_folder, warn or _unheard)
    if isinstance(table, RowTable):
        return as_model_numbers(table, model)
    return table if _is_even(table) else _of_inputs(table, model)


def _text(
    table: Table, preparation: TextPreparation, model: ModelInspection, model_folder: Path, warn: Warn
) -> TextSamples:
    tokens = tokenization(preparation, model, model_folder)
    column = label_column(preparation, table)
    labels = None
    if column is not None:
        labels = text_labels(table, column, declared=preparation.classes, of_model=model.classes, warn=warn)
    return TextSamples(table, preparation, tokens, labels)


def _is_even(table: Table) -> bool:
    return all(c.shape[0] == table.num_samples for c in table.columns)


def _of_inputs(table: Table, model: ModelInspection) -> Table:
    """Without arrays of other lengths that are not the model's: its inputs say how many samples there are."""
    inputs = [i.name for i in model.inputs]
    return table.only((*inputs, LABELS)) if all(column_of(table, name) is not None for name in inputs) else table


def _unheard(code: str, detail: str) -> None:
    """For those who do not ask for warnings."""


def _images(path: Path, preparation: Preparation | None, model: ModelInspection, warn: Warn | None) -> Samples:
    if preparation is not None and not isinstance(preparation, ImagePreparation):
        raise refuse("preparation_invalid", "The data set is images, and its preparation is for text.")
    from workers.ingestion.data.images import open_images  # noqa: PLC0415  the image library only where there are some

    return open_images(path, preparation, model, warn=warn)

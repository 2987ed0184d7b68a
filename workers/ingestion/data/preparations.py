"""How the columns of a table become samples: as declared, if the columns allow it, or as their names suggest."""

from app.contracts.preparation import ImagePreparation, Preparation, TextPreparation
from app.contracts.problem import ProblemFound, quoted, refuse
from workers.ingestion.data.samples import LABELS
from workers.ingestion.data.table import TEXT, Table, column_of

_TEXT_NAMES = ("text", "sentence", "content", "review")
_LABEL_NAMES = (LABELS, "label", "class")
_TOKENS = "input_ids"
"""A table with such a column was tokenized already."""


def checked(preparation: Preparation, table: Table) -> TextPreparation:
    """Raises ProblemFound when the columns are not those that the preparation names."""
    if isinstance(preparation, ImagePreparation):
        raise _invalid("A preparation of images needs a zip of images; the data set is a table.", "kind")
    for field, name in (("text", preparation.text), ("text_pair", preparation.text_pair)):
        if name is not None and _dtype(table, field, name) != TEXT:
            raise _invalid(f"Column {quoted(name)} holds numbers, no text.", field)
    if preparation.label is not None:
        _dtype(table, "label", preparation.label)
        if preparation.label in {preparation.text, preparation.text_pair}:
            raise _invalid(f"Column {quoted(preparation.label)} cannot be text and label at once.", "label")
    return preparation


def inferred(table: Table) -> TextPreparation | None:
    """For a table with a column of a usual name for text, or with only one column of texts that is no label."""
    texts = [c.name for c in table.columns if c.dtype == TEXT]
    if not texts or column_of(table, _TOKENS) is not None:
        return None
    label = next((name for name in _LABEL_NAMES if _can_be_label(table, name)), None)
    text = next((name for name in _TEXT_NAMES if name in texts), None)
    if text is None:
        others = [name for name in texts if name != label]
        text = others[0] if len(others) == 1 else None
    return None if text is None else TextPreparation(text=text, label=label)


def _can_be_label(table: Table, name: str) -> bool:
    """A rating with a fraction is called a label too, but is no class."""
    column = column_of(table, name)
    return column is not None and len(column.shape) == 1 and not column.dtype.startswith("float")


def label_column(preparation: TextPreparation, table: Table) -> str | None:
    """A column of the usual name holds labels whether it is declared or not."""
    if preparation.label is not None:
        return preparation.label
    return LABELS if column_of(table, LABELS) is not None else None


def _dtype(table: Table, field: str, name: str) -> str:
    column = column_of(table, name)
    if column is None:
        present = ", ".join(quoted(c.name) for c in table.columns[:8])
        raise _invalid(f"There is no column {quoted(name)}; there are: {present}.", field)
    return column.dtype


def _invalid(detail: str, field: str) -> ProblemFound:
    return refuse("preparation_invalid", detail, pointer=f"/preparation/{field}")

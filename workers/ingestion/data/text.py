"""Text columns of a table as token numbers, tokenized a batch at a time."""

from collections.abc import Iterator
from dataclasses import dataclass

from app.contracts.preparation import TextPreparation
from workers.ingestion.data.samples import LABELS, Batch, SampleColumn
from workers.ingestion.data.table import Table
from workers.ingestion.data.text_labels import TextLabels
from workers.ingestion.data.tokenization import Tokenization

_TOKENS = "tokens"


@dataclass(frozen=True)
class TextSamples:
    source: Table
    preparation: TextPreparation
    tokenization: Tokenization
    labels: TextLabels | None = None

    @property
    def num_samples(self) -> int:
        return self.source.num_samples

    @property
    def columns(self) -> tuple[SampleColumn, ...]:
        tokens = self.tokenization.padded_to or _TOKENS
        inputs = (SampleColumn(i.name, i.dtype, (self.num_samples, tokens)) for i in self.tokenization.inputs)
        labels = () if self.labels is None else (SampleColumn(LABELS, "int64", (self.num_samples,)),)
        return (*inputs, *labels)

    @property
    def texts(self) -> tuple[str, ...]:
        """The columns that are tokenized."""
        pair = self.preparation.text_pair
        return (self.preparation.text,) if pair is None else (self.preparation.text, pair)

    def batches(self, rows: int, *, names: tuple[str, ...] | None = None, limit: int | None = None) -> Iterator[Batch]:
        wanted = {c.name for c in self.columns if names is None or c.name in names}
        labels = self.labels if LABELS in wanted else None
        tokenized = bool(wanted - {LABELS})
        read = (*(self.texts if tokenized else ()), *((labels.column,) if labels else ()))
        row = 0
        for batch in self.source.batches(rows, names=read, limit=limit):
            found = self._tokens(batch) if tokenized else {}
            if labels is not None:
                found[LABELS] = labels.indices(batch[labels.column], row)
            row += len(next(iter(batch.values()), ()))
            yield {name: array for name, array in found.items() if name in wanted}

    def _tokens(self, batch: Batch) -> Batch:
        texts, *pairs = (batch[name].tolist() for name in self.texts)
        return self.tokenization.arrays(texts, pairs[0] if pairs else None)

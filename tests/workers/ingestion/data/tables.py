"""Tables as Python values, to be compared with what another library reads."""

from typing import Any

from workers.ingestion.data.samples import Samples


def rows_of(table: Samples, rows: int = 3) -> list[dict[str, Any]]:
    """All rows, read in batches."""
    names = [c.name for c in table.columns]
    return [
        dict(zip(names, values, strict=True))
        for batch in table.batches(rows)
        for values in zip(*(batch[name].tolist() for name in names), strict=True)
    ]

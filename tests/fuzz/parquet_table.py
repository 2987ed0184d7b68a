"""Any bytes as Parquet: a problem with a code, or as many rows as are declared, all of one form."""

import tempfile
from pathlib import Path

from app.contracts.problem import ProblemFound
from tests.workers.ingestion.data.tables import rows_of
from workers.ingestion.data.parquet_table import open_parquet

CODES = {"parquet_invalid", "calibration_empty", "calibration_too_large", "labels_length_mismatch"}
_LIMIT = 1 << 20


def one_input(data: bytes) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as scratch:
        path = Path(scratch, "data.parquet")
        path.write_bytes(data)
        try:
            table = open_parquet(path, max_unpacked_bytes=_LIMIT)
            rows = rows_of(table)
        except ProblemFound as found:
            code = found.problem.code
        else:
            assert len(rows) == table.num_samples > 0
            assert {tuple(row) for row in rows} == {tuple(column.name for column in table.columns)}
            return
    assert code in CODES


if __name__ == "__main__":
    from tests.fuzz.fuzzing import fuzz

    fuzz("parquet_table", instrument=["workers.ingestion.data"])

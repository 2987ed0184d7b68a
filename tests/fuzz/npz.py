"""Any bytes as an npz archive: a problem with a code, or the arrays that numpy finds in it."""

import tempfile
from pathlib import Path

import numpy as np

from app.contracts.problem import ProblemFound
from workers.ingestion.data.npz import open_archive
from workers.ingestion.data.samples import Batch

CODES = {
    "npz_invalid", "npz_pickle_not_allowed", "npz_fortran_order", "archive_bomb", "archive_unsupported",
    "calibration_empty", "calibration_dtype_mismatch", "calibration_shape_mismatch", "calibration_too_large",
    "labels_length_mismatch", "labels_invalid",
}  # fmt: skip
_LIMIT = 1 << 20


def one_input(data: bytes) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as scratch:
        path = Path(scratch, "data.npz")
        path.write_bytes(data)
        found = _read(path)
        if isinstance(found, str):
            assert found in CODES
            return
        with np.load(path, allow_pickle=False) as theirs:
            assert set(found) <= set(theirs.files)
            for name, array in found.items():
                np.testing.assert_array_equal(array, theirs[name])


def _read(path: Path) -> Batch | str:
    """Read both ways, which must agree; or the code of the problem."""
    try:
        archive = open_archive(path, max_unpacked_bytes=_LIMIT)
        archive = archive.only([c.name for c in archive.columns if c.shape[0] == archive.num_samples])
        pieces: dict[str, list[object]] = {c.name: [] for c in archive.columns}
        for piece in archive.pieces(chunk_bytes=16):
            pieces[piece.name].extend(piece.values.tolist())
        (batch,) = archive.batches(archive.num_samples)
    except ProblemFound as refused:
        return refused.problem.code
    for name, array in batch.items():
        np.testing.assert_array_equal(array.reshape(-1), np.array(pieces[name], array.dtype))
    return batch


if __name__ == "__main__":
    from tests.fuzz.fuzzing import fuzz

    fuzz("npz", instrument=["workers.ingestion.data"])

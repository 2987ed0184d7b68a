"""Any bytes as the beginning of an upload: a format that its purpose knows, or a problem that says what would do."""

from typing import get_args

from app.contracts.formats import UploadedDatasetFormat, UploadedModelFormat
from app.contracts.problem import Problem
from app.files.sniff import SNIFFED, Purpose, sniff

FORMATS: dict[Purpose, tuple[str, ...]] = {
    "model": get_args(UploadedModelFormat),
    "dataset": get_args(UploadedDatasetFormat),
}


def one_input(data: bytes) -> None:
    for purpose, formats in FORMATS.items():
        found = sniff(data[:512], purpose, allow_torch_export=True)
        if isinstance(found, Problem):
            assert found.code in {*SNIFFED, "file_empty"}
            assert found.hint
        else:
            assert found in formats


if __name__ == "__main__":
    from tests.fuzz.fuzzing import fuzz

    fuzz("head", instrument=["app.files"])

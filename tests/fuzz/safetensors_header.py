"""Any bytes as a safetensors file: a problem with a code, or tensors that the library finds in it too."""

import io

from safetensors import deserialize

from app.contracts.problem import ProblemFound
from workers.ingestion.checkpoint.safetensors_header import StoredTensor, tensors_of

CODES = {"safetensors_invalid", "safetensors_duplicate_key"}


def one_input(data: bytes) -> None:
    found = _ours(data)
    if isinstance(found, str):
        assert found in CODES
        return
    theirs = {name: (facts["dtype"], tuple(facts["shape"]), len(facts["data"])) for name, facts in deserialize(data)}
    assert {t.name: (t.dtype, t.shape, t.end - t.begin) for t in found} == theirs


def _ours(data: bytes) -> tuple[StoredTensor, ...] | str:
    """The tensors, or the code of the refusal."""
    try:
        return tensors_of(io.BytesIO(data), len(data), entry="model.safetensors")
    except ProblemFound as refused:
        return refused.problem.code


if __name__ == "__main__":
    from tests.fuzz.fuzzing import fuzz

    fuzz("safetensors_header", instrument=["workers.ingestion.checkpoint"])

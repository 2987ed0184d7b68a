"""Any bytes as a model: a problem with a code, or a model without functions, whose names are one tensor's each.

What the checks let through is written out by the format's own inliner, which must not crash on it.
"""

import onnx
from google.protobuf.message import DecodeError

from app.contracts.problem import ProblemFound
from tests.workers.ingestion.onnx_model.codes import CODES
from workers.ingestion.onnx_model.beside import FilesBeside
from workers.ingestion.onnx_model.functions import inlined
from workers.ingestion.onnx_model.rules import refuse_unreadable


def one_input(data: bytes) -> None:
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError:
        return
    try:
        refuse_unreadable(model, FilesBeside())
        plain = inlined(model)
    except ProblemFound as found:
        assert found.problem.code in CODES  # noqa: PT017 - any problem is fine that has one of these
        return
    assert not plain.functions
    assert len(plain.graph.node) <= 500_000


if __name__ == "__main__":
    from tests.fuzz.fuzzing import fuzz

    fuzz("functions", instrument=["workers.ingestion.onnx_model", "workers.pipeline"])

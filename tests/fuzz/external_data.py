"""Any bytes as a model with files beside it: a problem with a code, or extents that lie within the files.

An input is the model's message and, behind a line of four dashes, the content of `weights.bin`.
"""

import tempfile
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from app.contracts.problem import ProblemFound
from tests.workers.ingestion.onnx_model.codes import CODES
from workers.ingestion.onnx_model.beside import FilesBeside
from workers.ingestion.onnx_model.external_data import extent_of
from workers.ingestion.onnx_model.rules import refuse_unreadable
from workers.ingestion.onnx_model.walk import every_tensor
from workers.quantization.graph.skeleton import is_external

SEPARATOR = b"\n----\n"


def one_input(data: bytes) -> None:
    message, _, weights = data.partition(SEPARATOR)
    model = onnx.ModelProto()
    try:
        model.ParseFromString(message)
    except DecodeError:
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "upload")
        folder.mkdir()
        (folder / "weights.bin").write_bytes(weights)
        Path(name, "secret.bin").write_bytes(b"secret" * 100)
        (folder / "link.bin").symlink_to("../secret.bin")
        with FilesBeside(folder) as files:
            try:
                refuse_unreadable(model, files)
            except ProblemFound as found:
                assert found.problem.code in CODES  # noqa: PT017 - any problem is fine that has one of these
                return
            for tensor in filter(is_external, every_tensor(model)):
                extent = extent_of(tensor)
                assert extent.location == "weights.bin"
                content = b"".join(files.chunks(*extent))
                assert content == weights[extent.offset : extent.offset + extent.length]
                assert len(content) == extent.length


if __name__ == "__main__":
    from tests.fuzz.fuzzing import fuzz

    fuzz("external_data", instrument=["workers.ingestion.onnx_model"])

"""Models with external data in every place, one fact of it changed: the right bytes are read, or there is a problem.

What is right, a plain reader of the upload says, which shares no code with ours.
"""

import hashlib
import io
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from app.contracts.problem import ProblemFound
from tests.fuzz.external_data import CODES
from workers.ingestion.onnx_model.canonical import ingest_onnx
from workers.protocol.reporter import Reporter

BITS = {
    TensorProto.FLOAT: 32, TensorProto.DOUBLE: 64, TensorProto.FLOAT16: 16, TensorProto.INT64: 64,
    TensorProto.INT32: 32, TensorProto.UINT16: 16, TensorProto.INT8: 8, TensorProto.BOOL: 8, TensorProto.UINT4: 4,
}  # fmt: skip
OTHER_TYPES = (*BITS, TensorProto.STRING, TensorProto.UNDEFINED, TensorProto.BFLOAT16, TensorProto.COMPLEX64, 999)
FILES = ("weights.bin", "parts/more.bin")
PLACES = ("initializer", "constant", "then", "else", "function", "sparse", "indices", "training")
CPU_SECONDS = 1.0


@dataclass
class Upload:
    model: onnx.ModelProto
    tensors: dict[str, onnx.TensorProto]
    """By place; they are the messages in the model."""
    files: dict[str, bytearray] = field(default_factory=lambda: {name: bytearray() for name in FILES})

    def write(self, folder: Path) -> Path:
        """The model itself is one of the files: to read weights from it is odd, and leads nowhere else."""
        self.files["model.onnx"] = bytearray(self.model.SerializeToString())
        (folder / "parts").mkdir(parents=True, exist_ok=True)
        for name, content in self.files.items():
            (folder / name).write_bytes(content)
        return folder / "model.onnx"


def bytes_of(dtype: int, dims: tuple[int, ...]) -> bytes:
    """Whole numbers from 0 on: finite in every type; 0 and 1 for truth values."""
    count = math.prod(dims)
    if BITS[dtype] == 4:
        return bytes(n % 10 for n in range(-(-count // 2)))
    numbers = np.arange(count) % (2 if dtype == TensorProto.BOOL else 100)
    return numbers.astype(helper.tensor_dtype_to_np_dtype(dtype)).tobytes()


@st.composite
def uploads(draw: st.DrawFn) -> Upload:
    """Every tensor has its data in one of two files, apart from the others', and says so in one of several ways."""
    upload = Upload(onnx.ModelProto(), {})
    for place in PLACES:
        dtype = TensorProto.INT64 if place == "indices" else draw(st.sampled_from(sorted(BITS)))
        if place == "else":  # branches have results of one type
            dtype = upload.tensors["then"].data_type
        dims = tuple(draw(st.lists(st.integers(0, 3), max_size=3)))
        if place in {"sparse", "indices"}:
            dims = (3,)
        tensor = TensorProto(name=f"of {place}", data_type=dtype, dims=dims, data_location=TensorProto.EXTERNAL)
        content = np.int64([0, 2, 5]).tobytes() if place == "indices" else bytes_of(dtype, dims)
        keep(upload, tensor, content, draw)
        upload.tensors[place] = tensor
    for tensor in draw(st.lists(st.sampled_from(sorted(upload.tensors)), unique=True, max_size=2)):
        say(upload.tensors[tensor], "checksum", sha1(upload, upload.tensors[tensor]))
    return assembled(upload)


def keep(upload: Upload, tensor: onnx.TensorProto, content: bytes, draw: st.DrawFn) -> None:
    location = draw(st.sampled_from(FILES))
    held = upload.files[location]
    held += bytes(draw(st.integers(0, 3)))
    say(tensor, "location", location)
    if held or draw(st.booleans()):
        say(tensor, "offset", str(len(held)))
    if draw(st.booleans()):
        say(tensor, "length", str(len(content)))
    held += content


def assembled(upload: Upload) -> Upload:
    """A model that holds them all. Its messages become the ones to change."""
    at = upload.tensors
    n, made = helper.make_node, [f"y{i}" for i in range(4)]
    opset = [helper.make_opsetid("", 21), helper.make_opsetid("mine", 1)]
    branches = {
        f"{side}_branch": helper.make_graph(
            [n("Identity", [at[side].name], [side])], side, [], [described(side, at[side])], [at[side]]
        )
        for side in ("then", "else")
    }
    graph = helper.make_graph(
        [
            n("Identity", [at["initializer"].name], ["y0"]),
            n("Constant", [], ["y1"], value=at["constant"]),
            n("If", ["c"], ["y2"], **branches),
            n("f", [], ["y3"], domain="mine"),
        ],
        "g",
        [helper.make_tensor_value_info("c", TensorProto.BOOL, [])],
        [onnx.ValueInfoProto(name=name) for name in made],
        [at["initializer"]],
        sparse_initializer=[onnx.SparseTensorProto(values=at["sparse"], indices=at["indices"], dims=[6])],
    )
    for place, output in zip(("initializer", "constant", "then", "function"), graph.output, strict=True):
        output.CopyFrom(described(output.name, at[place]))
        if place == "then":  # the other branch's shape may differ
            output.type.tensor_type.ClearField("shape")
    inner = helper.make_function("mine", "f", [], ["k"], [n("Constant", [], ["k"], value=at["function"])], opset[:1])
    model = helper.make_model(graph, opset_imports=opset, ir_version=10, functions=[inner])
    model.training_info.add().initialization.initializer.append(at["training"])
    given_to = {t.name: t for t in tensors_of(model)}
    return Upload(model, {place: given_to[t.name] for place, t in at.items()}, upload.files)


def described(name: str, tensor: onnx.TensorProto) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, tensor.data_type, list(tensor.dims))


def tensors_of(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """In the places that `assembled` knows, one after the other."""
    for graph in (model.graph, *(info.initialization for info in model.training_info)):
        yield from of_graph(graph)
    for function in model.functions:
        yield from (attribute.t for node in function.node for attribute in node.attribute if attribute.HasField("t"))


def of_graph(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            if attribute.HasField("g"):
                yield from of_graph(attribute.g)


# --- changes


def say(tensor: onnx.TensorProto, key: str, value: str) -> None:
    for entry in tensor.external_data:
        if entry.key == key:
            entry.value = value
            return
    tensor.external_data.add(key=key, value=value)


def sha1(upload: Upload, tensor: onnx.TensorProto) -> str:
    return hashlib.sha1(upload.files[told(tensor)["location"]]).hexdigest()


def told(tensor: onnx.TensorProto) -> dict[str, str]:
    return {entry.key: entry.value for entry in tensor.external_data}


def location(upload: Upload, tensor: onnx.TensorProto, draw: st.DrawFn) -> None:
    names = (*FILES, "../secret.bin", "link.bin", "parts", "linked/more.bin", "none.bin", "", "parts/../weights.bin")
    say(tensor, "location", draw(st.sampled_from((*names, "/etc/hostname", "model.onnx", "parts\\more.bin"))))


def number(key: str) -> Callable[..., None]:
    def change(upload: Upload, tensor: onnx.TensorProto, draw: st.DrawFn) -> None:
        was = int(told(tensor).get(key, "0"))
        near = st.integers(-9, 9).map(lambda by: str(was + by))
        size = len(upload.files[told(tensor)["location"]])
        odd = st.sampled_from(
            ["", "+1", "0x4", "1e1", "4.0", " 4", "\u0664", "9" * 18, "9" * 19, str(2**64), str(size)]
        )
        say(tensor, key, draw(near | odd))

    return change


def checksum(upload: Upload, tensor: onnx.TensorProto, draw: st.DrawFn) -> None:
    right = sha1(upload, tensor)
    say(tensor, "checksum", draw(st.sampled_from([right[:-1], right[::-1], "", "0" * 40, right + " "])))


def key(upload: Upload, tensor: onnx.TensorProto, draw: st.DrawFn) -> None:
    words = ("location", "offset", "length", "checksum", "Location", "basepath", "__class__", "")
    chosen = draw(st.sampled_from(list(tensor.external_data)))
    chosen.key = draw(st.sampled_from(words))


def dims(upload: Upload, tensor: onnx.TensorProto, draw: st.DrawFn) -> None:
    tensor.dims[:] = draw(st.lists(st.sampled_from([0, 1, 2, 3, 7, 2**20, 2**40, -1]), max_size=4))


def dtype(upload: Upload, tensor: onnx.TensorProto, draw: st.DrawFn) -> None:
    tensor.data_type = draw(st.sampled_from(OTHER_TYPES))


def nothing_new(upload: Upload, tensor: onnx.TensorProto, draw: st.DrawFn) -> None:
    """The same said in another way."""
    said = told(tensor)
    ways = (
        ("location", f"./{said['location']}"),
        ("location", said["location"].replace("/", "//")),
        ("offset", f"00{said.get('offset', '0')}"),
        ("length", str(len(plainly_read(upload, tensor)))),
        ("checksum", sha1(upload, tensor).upper()),
    )
    say(tensor, *draw(st.sampled_from(ways)))


CHANGES = (location, number("offset"), number("length"), checksum, key, dims, dtype)


# --- what is right


def plainly_read(upload: Upload, tensor: onnx.TensorProto) -> bytes:
    """The bytes as the format defines them. Fails where they are not all in a file of the upload."""
    said = told(tensor)
    parts = [part for part in said["location"].split("/") if part not in {"", "."}]
    content = upload.files["/".join(parts)]
    start, size = int(said.get("offset", "0")), -(-math.prod(tensor.dims) * BITS[tensor.data_type] // 8)
    assert 0 <= start <= start + size <= len(content)
    assert int(said.get("length", size)) == size
    return bytes(content[start : start + size])


def require_as_uploaded(upload: Upload, output: Path) -> None:
    found = {tensor.name: tensor for tensor in tensors_of(onnx.load_model(output))}
    for place, tensor in upload.tensors.items():
        right = plainly_read(upload, tensor)
        if place == "training":
            assert tensor.name not in found
            continue
        ours = found[tensor.name]
        assert (ours.data_type, ours.dims, ours.raw_data) == (tensor.data_type, tensor.dims, right), place
        assert not ours.external_data


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("room")
    (folder / "secret.bin").write_bytes(b"secret" * 1000)
    (folder / "upload/parts").mkdir(parents=True)
    (folder / "upload/link.bin").symlink_to("../secret.bin")
    (folder / "upload/linked").symlink_to("parts")
    return folder


def ingested(room: Path, upload: Upload) -> Any:
    """The code of the problem, or None."""
    started = time.process_time()
    try:
        path = upload.write(room / "upload")
        ingest_onnx(path, room, Reporter(io.StringIO()), folder=path.parent)
    except ProblemFound as found:
        return found.problem.code
    finally:
        assert time.process_time() - started < CPU_SECONDS
    require_as_uploaded(upload, room / "model.onnx")
    return None


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_all_values_come_in_however_the_places_are_told(room: Path, data: st.DataObject) -> None:
    upload = data.draw(uploads())
    assert ingested(room, upload) is None
    nothing_new(upload, upload.tensors[data.draw(st.sampled_from(PLACES))], data.draw)
    assert ingested(room, upload) is None


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_with_one_fact_changed_there_is_a_problem_or_every_value_is_what_the_upload_says(
    room: Path, data: st.DataObject
) -> None:
    upload = data.draw(uploads())
    place = data.draw(st.sampled_from(PLACES))
    data.draw(st.sampled_from(CHANGES))(upload, upload.tensors[place], data.draw)
    assert ingested(room, upload) in {None, *CODES}

"""The canonical form against the upload, in ONNX Runtime."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from app.contracts.problem import ProblemFound
from tests.real_data import MAGIKA, READERS
from tests.workers.ingestion.onnx_model.uploads import outputs, random_feeds, saved
from tests.workers.quantization.small_models import model_of, random_weights, residual_cnn, two_matmuls
from workers.ingestion.onnx_model import canonical
from workers.ingestion.onnx_model.canonical import ingest_onnx
from workers.protocol.reporter import Reporter

N, INFO = helper.make_node, helper.make_tensor_value_info


@pytest.fixture
def ingest(tmp_path: Path, reporter: Reporter) -> Any:
    """A function that writes a model as an upload and returns the path of its canonical form."""

    def run(model: onnx.ModelProto, name: str = "canonical") -> Path:
        upload, output = tmp_path / f"upload_{name}", tmp_path / name
        upload.mkdir(exist_ok=True)
        output.mkdir(exist_ok=True)
        if not (upload / "model.onnx").exists():
            (upload / "model.onnx").write_bytes(model.SerializeToString())
        ingest_onnx(upload / "model.onnx", output, reporter, folder=upload)
        return output / "model.onnx"

    return run


def branches() -> onnx.ModelProto:
    """If with a weight in one branch, and a Loop that adds another one three times; opset 17."""
    weight = numpy_helper.from_array(np.arange(300, dtype=np.float32), "inner")
    step = numpy_helper.from_array(np.ones(300, np.float32), "step")
    out = [INFO("r", TensorProto.FLOAT, [300])]
    then = helper.make_graph([N("Add", ["x", "inner"], ["r"])], "then", [], out, [weight])
    other = helper.make_graph([N("Neg", ["x"], ["r"])], "else", [], out)
    body = helper.make_graph(
        [N("Add", ["before", "step"], ["after"]), N("Identity", ["go"], ["go_on"])],
        "body",
        [INFO("i", TensorProto.INT64, []), INFO("go", TensorProto.BOOL, []), INFO("before", TensorProto.FLOAT, [300])],
        [INFO("go_on", TensorProto.BOOL, []), INFO("after", TensorProto.FLOAT, [300])],
        [step],
    )
    nodes = [
        N("If", ["c"], ["chosen"], name="choice", then_branch=then, else_branch=other),
        N("Loop", ["three", "", "chosen"], ["y"], name="thrice", body=body),
    ]
    graph = helper.make_graph(
        nodes,
        "branches",
        [INFO("x", TensorProto.FLOAT, [300]), INFO("c", TensorProto.BOOL, [])],
        [INFO("y", TensorProto.FLOAT, [300])],
        [numpy_helper.from_array(np.array(3, np.int64), "three")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def old_school() -> onnx.ModelProto:
    """Opset 9 and IR 3, where every initializer is an input too."""
    weights = random_weights(np.random.default_rng(0), w=(300, 8))
    model = model_of([N("MatMul", ["x", "w"], ["y"])], weights, inputs={"x": ["n", 300]}, outputs={"y": ["n", 8]})
    model.graph.input.append(INFO("w", TensorProto.FLOAT, [300, 8]))
    model.ir_version, model.opset_import[0].version = 3, 9
    return model


SMALL = {f.__name__: f for f in (two_matmuls, residual_cnn, branches, old_school)}


@pytest.mark.parametrize("largest", [1 << 30, 2500], ids=["one_file", "with_data"])
@pytest.mark.parametrize("make", SMALL.values(), ids=SMALL.keys())
def test_outputs_are_the_same_to_the_last_bit(
    ingest: Any, tmp_path: Path, make: Any, largest: int, monkeypatch: Any
) -> None:
    monkeypatch.setattr(canonical, "LARGEST_FILE_BYTES", largest)
    onnx.save_model(make(), tmp_path / "original.onnx")
    path = ingest(make())
    feeds = random_feeds(ort.InferenceSession(tmp_path / "original.onnx"))
    for expected, found in zip(outputs(tmp_path / "original.onnx", feeds), outputs(path, feeds), strict=True):
        np.testing.assert_array_equal(found, expected)
    onnx.checker.check_model(path, full_check=True)


@pytest.mark.parametrize("path", [MAGIKA, *READERS], ids=lambda p: p.stem)
def test_models_from_packages_compute_the_same(path: Path, tmp_path: Path, reporter: Reporter) -> None:
    ingest_onnx(path, tmp_path, reporter)
    original = ort.InferenceSession(path)
    extents = {"x": [1, 3, 64, 64]} if path in READERS else {"bytes": [1, 2048]}
    if "rec" in path.name or "cls" in path.name:
        extents = {"x": [1, 3, 48, 192]}
    feeds = {
        i.name: np.random.default_rng(0).normal(size=extents[i.name]).astype(np.float32)
        if i.type == "tensor(float)"
        else np.random.default_rng(0).integers(0, 256, extents[i.name], np.int32)
        for i in original.get_inputs()
    }
    for expected, found in zip(original.run(None, feeds), outputs(tmp_path / "model.onnx", feeds), strict=True):
        np.testing.assert_array_equal(found, expected)
    names = [
        [v.name for v in (*m.graph.input, *m.graph.output)]
        for m in map(onnx.load_model, (path, tmp_path / "model.onnx"))
    ]
    assert names[0] == names[1]


def digests(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}


@pytest.mark.parametrize("largest", [1 << 30, 2500])
def test_the_same_upload_gives_the_same_bytes(ingest: Any, largest: int, monkeypatch: Any) -> None:
    monkeypatch.setattr(canonical, "LARGEST_FILE_BYTES", largest)
    first, second = (ingest(residual_cnn(), name).parent for name in ("a", "b"))
    assert digests(first) == digests(second)
    assert len(digests(first)) == (1 if largest > 2500 else 2)


def test_a_canonical_model_stays_as_it_is(ingest: Any, tmp_path: Path) -> None:
    path = ingest(residual_cnn())
    assert ingest(onnx.load_model(path), "again").read_bytes() == path.read_bytes()


def test_a_model_with_external_data_and_one_without_become_the_same(ingest: Any, tmp_path: Path) -> None:
    (tmp_path / "upload_outside").mkdir()
    saved(tmp_path / "upload_outside", two_matmuls())
    assert digests(ingest(two_matmuls(), "outside").parent) == digests(ingest(two_matmuls(), "inside").parent)


def test_weights_of_a_large_model_lie_in_our_file_under_our_name(ingest: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(canonical, "LARGEST_FILE_BYTES", 1000)
    (tmp_path / "upload_canonical").mkdir()
    path = saved(tmp_path / "upload_canonical", two_matmuls())
    model = onnx.load_model(path, load_external_data=False)
    twin = model.graph.initializer.add()
    twin.CopyFrom(model.graph.initializer[0])
    twin.name = "twin"
    path.write_bytes(model.SerializeToString())
    written = onnx.load_model(ingest(model), load_external_data=False)
    told = {t.name: {e.key: e.value for e in t.external_data} for t in written.graph.initializer}
    # w1 and its twin share 2,048 bytes; small ones are in the model
    w1 = {"location": "model.onnx.data", "offset": "0", "length": "2048"}
    assert told == {"w1": w1, "twin": w1, "w2": {}, "b": {}}
    assert (tmp_path / "canonical" / "model.onnx.data").stat().st_size == 2048


def test_large_constants_of_the_graph_move_out_and_those_of_branches_are_limited(
    ingest: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(canonical, "LARGEST_FILE_BYTES", 1100)
    values = np.arange(300, dtype=np.float32)
    nodes = [N("Constant", [], ["k"], value=numpy_helper.from_array(values)), N("Add", ["x", "k"], ["y"])]
    path = ingest(model_of(nodes, {}, inputs={"x": [300]}, outputs={"y": [300]}))
    assert (path.parent / "model.onnx.data").stat().st_size == 1200
    np.testing.assert_array_equal(outputs(path, {"x": values})[0], 2 * values)
    with pytest.raises(ProblemFound) as found:
        ingest(branches(), "branches")
    assert found.value.problem.code == "onnx_tensor_too_large"


def test_words_of_exporters_go_and_words_of_the_model_stay(ingest: Any) -> None:
    model = residual_cnn()
    model.doc_string = model.graph.doc_string = model.graph.node[0].doc_string = "/home/somebody/train.py"
    model.graph.node[0].metadata_props.add(key="pkg.torch.onnx.stack_trace", value="/home/somebody/train.py")
    model.graph.initializer[0].doc_string = "/home/somebody/train.py"
    model.metadata_props.add(key="character", value="abc")
    model.training_info.add().initialization.name = "t"
    path = ingest(model)
    written = onnx.load_model(path)
    assert b"somebody" not in path.read_bytes()
    assert [(p.key, p.value) for p in written.metadata_props] == [("character", "abc")]
    assert not written.training_info
    assert [n.name for n in written.graph.node] == [n.name for n in model.graph.node]


def test_fields_that_onnx_does_not_have_go(ingest: Any) -> None:
    # field 1000 of the model, length-delimited
    upload = residual_cnn().SerializeToString() + b"\xc2\x3e\x06SECRET"
    model = onnx.ModelProto()
    model.ParseFromString(upload)
    assert b"SECRET" in model.SerializeToString()
    assert b"SECRET" not in ingest(model).read_bytes()


def test_shapes_of_results_are_noted_and_names_of_extents_kept(ingest: Any) -> None:
    written = onnx.load_model(ingest(two_matmuls()))
    shapes = {
        v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in written.graph.value_info
    }
    assert shapes == {"h": ["n", "t", 32], "r": ["n", "t", 32], "o": ["n", "t", 4]}


def test_notes_that_contradict_the_operators_are_dropped_with_a_warning(ingest: Any, reporter: Reporter) -> None:
    model = two_matmuls()
    model.graph.value_info.append(INFO("h", TensorProto.FLOAT, [3, 7, 32, 1]))
    written = onnx.load_model(ingest(model))
    assert {len(v.type.tensor_type.shape.dim) for v in written.graph.value_info} == {3}
    assert [w.code for w in reporter.warnings] == ["shape_notes_dropped"]
    assert written.graph.output == model.graph.output


def test_operators_that_contradict_each_other_are_refused(ingest: Any) -> None:
    model = two_matmuls()
    model.graph.initializer[1].CopyFrom(numpy_helper.from_array(np.ones((31, 4), np.float32), "w2"))
    with pytest.raises(ProblemFound) as found:
        ingest(model)
    assert found.value.problem.code == "onnx_invalid"


def test_a_kernel_of_more_axes_than_its_input_is_refused(ingest: Any) -> None:
    # once an over-read of the heap in shape inference, and in ONNX Runtime
    graph = helper.make_graph(
        [N("Conv", ["x", "w"], ["y"])],
        "g",
        [INFO("x", TensorProto.FLOAT, [1, 1, 8])],
        [INFO("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.ones((1, 1, 3, 3, 3, 3), np.float32), "w")],
    )
    with pytest.raises(ProblemFound) as found:
        ingest(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9))
    assert found.value.problem.code == "onnx_invalid"


def test_two_weights_of_one_name_are_refused(ingest: Any) -> None:
    model = two_matmuls()
    model.graph.initializer.append(model.graph.initializer[0])
    with pytest.raises(ProblemFound) as found:
        ingest(model)
    assert found.value.problem.code == "onnx_invalid"

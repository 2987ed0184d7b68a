import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from app.contracts.problem import ProblemFound
from tests.workers.ingestion.onnx_model.uploads import outputs, replace_entries, saved
from tests.workers.quantization.small_models import two_matmuls
from workers.ingestion.onnx_model.beside import FilesBeside
from workers.ingestion.onnx_model.canonical import ingest_onnx
from workers.ingestion.onnx_model.external_data import check_external_data
from workers.protocol.reporter import Reporter


@pytest.fixture
def upload(tmp_path: Path) -> Path:
    (tmp_path / "upload").mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(8192))
    return tmp_path / "upload"


@pytest.fixture
def ingest(upload: Path, tmp_path: Path, reporter: Reporter) -> Any:
    def run() -> Any:
        return ingest_onnx(upload / "model.onnx", tmp_path, reporter, folder=upload)

    return run


@pytest.fixture
def problem_of(ingest: Any) -> Any:
    def run() -> Any:
        with pytest.raises(ProblemFound) as found:
            ingest()
        assert "\n" not in found.value.problem.detail
        return found.value.problem

    return run


def test_external_data_comes_into_a_small_model(upload: Path, ingest: Any, tmp_path: Path) -> None:
    path = saved(upload, two_matmuls())
    assert ingest().files == ("model.onnx",)
    np.testing.assert_array_equal(outputs(tmp_path / "model.onnx"), outputs(path))
    assert not any(t.external_data for t in onnx.load_model(tmp_path / "model.onnx").graph.initializer)


@pytest.mark.parametrize(
    "location",
    [
        "../secret.bin", "/etc/passwd", "a/../../secret.bin", "a/../weights.bin", "..", "", ".", "/", "C:\\x", "c:x",
        "\\\\host\\x", "..\\secret.bin", "weights.bin\0", "x" * 256, "/".join("a" * 40), "../upload/weights.bin",
    ],
)  # fmt: skip
def test_names_that_lead_elsewhere_are_refused(upload: Path, problem_of: Any, location: str) -> None:
    saved(upload, two_matmuls(), entries={"location": location})
    assert problem_of().code == "onnx_external_data_escape"


def test_a_symbolic_link_is_refused_wherever_it_leads(upload: Path, problem_of: Any) -> None:
    saved(upload, two_matmuls())
    (upload / "weights.bin").rename(upload / "real.bin")
    (upload / "weights.bin").symlink_to("real.bin")
    assert problem_of().code == "onnx_external_data_escape"
    (upload / "weights.bin").unlink()
    (upload / "weights.bin").symlink_to("nowhere")
    assert problem_of().code == "onnx_external_data_escape"


def test_a_folder_that_is_a_link_is_refused(upload: Path, tmp_path: Path, problem_of: Any) -> None:
    saved(upload, two_matmuls(), entries={"location": "sub/secret.bin", "offset": None})
    (upload / "sub").symlink_to(tmp_path)
    assert problem_of().code == "onnx_external_data_escape"


def test_a_second_name_of_another_file_is_refused(upload: Path, tmp_path: Path, problem_of: Any) -> None:
    saved(upload, two_matmuls())
    (upload / "weights.bin").unlink()
    os.link(tmp_path / "secret.bin", upload / "weights.bin")
    assert problem_of().code == "onnx_external_data_escape"


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["folder", "fifo"])
def test_what_is_no_plain_file_is_refused_at_once(upload: Path, problem_of: Any, make: Any) -> None:
    saved(upload, two_matmuls())
    (upload / "weights.bin").unlink()
    make(upload / "weights.bin")
    assert problem_of().code == "onnx_external_data_escape"


def test_a_file_that_is_not_there_is_named(upload: Path, problem_of: Any) -> None:
    saved(upload, two_matmuls())
    (upload / "weights.bin").unlink()
    found = problem_of()
    assert (found.code, found.errors[0].entry) == ("onnx_external_data_missing", "weights.bin")
    assert found.hint


def test_a_model_that_came_alone_finds_nothing_beside_it(upload: Path, tmp_path: Path, reporter: Reporter) -> None:
    path = saved(upload, two_matmuls())
    with pytest.raises(ProblemFound) as found:
        ingest_onnx(path, tmp_path, reporter)
    assert found.value.problem.code == "onnx_external_data_missing"


@pytest.mark.parametrize("key", ["basepath", "__class__", "Location", "", "dims"])
def test_unknown_words_are_refused(upload: Path, problem_of: Any, key: str) -> None:
    saved(upload, two_matmuls(), entries={key: "x"})
    found = problem_of()
    assert (found.code, found.errors[0].entry) == ("onnx_external_data_bad_key", "w1")


def test_a_word_said_twice_is_refused(upload: Path, problem_of: Any) -> None:
    path = saved(upload, two_matmuls())
    model = onnx.load_model(path, load_external_data=False)
    model.graph.initializer[0].external_data.add(key="location", value="other.bin")
    path.write_bytes(model.SerializeToString())
    assert problem_of().code == "onnx_external_data_bad_key"


# w1 takes 2048 bytes from 0, w2 512 from 2048, b 16 from 2560; the file has 2576
@pytest.mark.parametrize(
    "entries",
    [
        {"length": "2047"}, {"length": "2049"}, {"length": "0"}, {"offset": "529"}, {"offset": "100000"},
        {"offset": "-4"}, {"offset": "4.0"}, {"offset": " 4"}, {"offset": "\u0664"}, {"offset": "9" * 30},
        {"offset": ""}, {"length": "1e3"}, {"offset": str(2**63)}, {"length": str(2**64 + 2048)},
    ],
)  # fmt: skip
def test_extents_that_do_not_fit_are_refused(upload: Path, problem_of: Any, entries: Any) -> None:
    saved(upload, two_matmuls(), entries=entries)
    assert problem_of().code == "onnx_invalid"


@pytest.mark.parametrize("entries", [{"length": None}, {"offset": None}, {"length": "2048", "offset": "0"}])
def test_offset_and_length_may_be_left_out(upload: Path, ingest: Any, entries: Any) -> None:
    saved(upload, two_matmuls(), entries=entries)
    ingest()


def test_a_file_cut_short_is_refused(upload: Path, problem_of: Any) -> None:
    saved(upload, two_matmuls())
    os.truncate(upload / "weights.bin", 2575)
    assert problem_of().code == "onnx_invalid"


def test_the_checksum_is_verified(upload: Path, ingest: Any, problem_of: Any) -> None:
    saved(upload, two_matmuls())
    digest = hashlib.sha1((upload / "weights.bin").read_bytes()).hexdigest()
    saved(upload, two_matmuls(), entries={"checksum": digest.upper()})
    ingest()
    saved(upload, two_matmuls(), entries={"checksum": "0" + digest[1:] if digest[0] != "0" else "1" + digest[1:]})
    found = problem_of()
    assert (found.code, found.errors[0].entry) == ("onnx_checksum_mismatch", "weights.bin")


@pytest.mark.parametrize("location", ["weights.bin", "./weights.bin", ".//weights.bin"])
def test_extents_that_overlap_are_refused_under_any_spelling(upload: Path, problem_of: Any, location: str) -> None:
    saved(upload, two_matmuls(), entries={"offset": "2044", "location": location}, tensor=1)
    found = problem_of()
    assert found.code == "onnx_invalid"
    assert "overlap" in found.detail


def test_tensors_may_share_all_of_their_data(upload: Path, ingest: Any, tmp_path: Path) -> None:
    path = saved(upload, two_matmuls())
    model = onnx.load_model(path, load_external_data=False)
    twin = model.graph.initializer.add()
    twin.CopyFrom(model.graph.initializer[0])
    twin.name = "twin"
    path.write_bytes(model.SerializeToString())
    ingest()
    found = {t.name: t.raw_data for t in onnx.load_model(tmp_path / "model.onnx").graph.initializer}
    assert found["twin"] == found["w1"]


def test_a_subfolder_is_in_the_folder(upload: Path, ingest: Any) -> None:
    saved(upload, two_matmuls())
    (upload / "parts").mkdir()
    (upload / "weights.bin").rename(upload / "parts" / "weights.bin")
    model = onnx.load_model(upload / "model.onnx", load_external_data=False)
    for tensor in model.graph.initializer:
        tensor.external_data[0].value = "parts/weights.bin"
    (upload / "model.onnx").write_bytes(model.SerializeToString())
    ingest()


def test_data_in_two_places_at_once_is_refused(upload: Path, problem_of: Any) -> None:
    path = saved(upload, two_matmuls())
    model = onnx.load_model(path, load_external_data=False)
    model.graph.initializer[0].raw_data = bytes(2048)
    path.write_bytes(model.SerializeToString())
    assert problem_of().code == "onnx_invalid"


def hidden(location: str) -> onnx.TensorProto:
    tensor = TensorProto(name="hidden", data_type=TensorProto.FLOAT, dims=[3], data_location=TensorProto.EXTERNAL)
    replace_entries(tensor, [("location", location)])
    return tensor


def in_constant(model: onnx.ModelProto, tensor: onnx.TensorProto) -> None:
    model.graph.node.insert(0, helper.make_node("Constant", [], ["k"], value=tensor))


def in_sparse_value(model: onnx.ModelProto, tensor: onnx.TensorProto) -> None:
    sparse = onnx.SparseTensorProto(values=tensor, dims=[9])
    model.graph.node.insert(0, helper.make_node("Constant", [], ["k"], sparse_value=sparse))


def in_sparse_indices(model: onnx.ModelProto, tensor: onnx.TensorProto) -> None:
    model.graph.sparse_initializer.add().indices.CopyFrom(tensor)


def in_branch(model: onnx.ModelProto, tensor: onnx.TensorProto) -> None:
    branch = helper.make_graph([], "b", [], [], [tensor])
    model.graph.node.append(helper.make_node("If", ["c"], ["k"], then_branch=branch, else_branch=branch))


def in_function(model: onnx.ModelProto, tensor: onnx.TensorProto) -> None:
    nodes = [helper.make_node("Constant", [], ["k"], value=tensor)]
    model.functions.append(helper.make_function("mine", "f", [], ["k"], nodes, list(model.opset_import)))


def in_tensors(model: onnx.ModelProto, tensor: onnx.TensorProto) -> None:
    model.graph.node[0].attribute.append(helper.make_attribute("many", [tensor]))


def in_training(model: onnx.ModelProto, tensor: onnx.TensorProto) -> None:
    model.training_info.add().initialization.initializer.append(tensor)


HIDING = [in_constant, in_sparse_value, in_sparse_indices, in_branch, in_function, in_tensors, in_training]


@pytest.mark.parametrize("hide", HIDING)
@pytest.mark.parametrize(
    ("location", "code"),
    [("../secret.bin", "onnx_external_data_escape"), ("none.bin", "onnx_external_data_missing")],
)
def test_every_tensor_is_looked_at(upload: Path, problem_of: Any, hide: Any, location: str, code: str) -> None:
    model = two_matmuls()
    hide(model, hidden(location))
    (upload / "model.onnx").write_bytes(model.SerializeToString())
    assert problem_of().code == code


def test_constants_of_the_graph_and_of_branches_are_read_too(upload: Path, ingest: Any, tmp_path: Path) -> None:
    values = numpy_helper.from_array(np.float32([1, 2, 4]), "k")
    n, info = helper.make_node, helper.make_tensor_value_info
    branch = helper.make_graph([n("Identity", ["k"], ["r"])], "b", [], [info("r", TensorProto.FLOAT, [3])], [values])
    graph = helper.make_graph(
        [
            n("Constant", [], ["k2"], value=values),
            n("If", ["c"], ["k1"], then_branch=branch, else_branch=branch),
            n("Add", ["k1", "k2"], ["y"]),
        ],
        "g",
        [info("c", TensorProto.BOOL, [])],
        [info("y", TensorProto.FLOAT, [3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    for tensor in every_tensor_of(model):
        (upload / "weights.bin").write_bytes(tensor.raw_data)
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        replace_entries(tensor, [("location", "weights.bin")])
    (upload / "model.onnx").write_bytes(model.SerializeToString())
    ingest()
    assert outputs(tmp_path / "model.onnx", {"c": np.array(True)})[0].tolist() == [2, 4, 8]


def every_tensor_of(model: onnx.ModelProto) -> list[onnx.TensorProto]:
    constant, choice, _ = model.graph.node
    return [constant.attribute[0].t, *(a.g.initializer[0] for a in choice.attribute)]


def test_files_are_closed_afterwards(upload: Path) -> None:
    path = saved(upload, two_matmuls())
    model = onnx.load_model(path, load_external_data=False)
    before = open_files()
    with FilesBeside(upload) as files:
        check_external_data(model, files)
        assert open_files() == before + 1
    assert open_files() == before


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))

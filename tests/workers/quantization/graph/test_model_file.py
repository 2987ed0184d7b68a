import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.workers.quantization.small_models import residual_cnn, two_matmuls
from workers.quantization.graph import model_file
from workers.quantization.graph.model_file import (
    ConstantsTooLarge,
    ExternalDataMissing,
    ExternalDataOutsideFolder,
    ExternalDataTruncated,
    NotAnOnnxFile,
    load_model,
    save_model,
)


def outputs(path: Path, seed: int = 0) -> Any:
    session = ort.InferenceSession(path)
    rng = np.random.default_rng(seed)
    feeds = {
        i.name: rng.normal(size=[d if isinstance(d, int) else 2 for d in i.shape]).astype(np.float32)
        for i in session.get_inputs()
    }
    return session.run(None, feeds)[0]


def external(folder: Path, model: onnx.ModelProto, **changes: str) -> Path:
    """Written by onnx itself, all tensors in weights.bin; `changes` overwrite what the first tensor says about it."""
    path = folder / "model.onnx"
    onnx.save_model(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    written = onnx.load_model(path, load_external_data=False)
    entries = written.graph.initializer[0].external_data
    for entry in entries:
        entry.value = changes.pop(entry.key, entry.value)
    for key, value in changes.items():
        entries.add(key=key, value=value)
    path.write_bytes(written.SerializeToString())
    return path


def test_a_small_model_becomes_one_file_that_computes_the_same(tmp_path: Path) -> None:
    onnx.save_model(residual_cnn(), tmp_path / "in.onnx")
    assert save_model(load_model(tmp_path / "in.onnx"), tmp_path / "out.onnx") == [tmp_path / "out.onnx"]
    np.testing.assert_array_equal(outputs(tmp_path / "out.onnx"), outputs(tmp_path / "in.onnx"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.onnx", "out.onnx"]


def test_external_data_moves_into_the_one_file_and_the_model_stays_as_it_was(tmp_path: Path) -> None:
    path = external(tmp_path, residual_cnn())
    model = load_model(path)
    tensors = [v.const_value for v in model.graph.initializers.values()]
    assert all(isinstance(t, ir.ExternalTensor) for t in tensors)
    (tmp_path / "elsewhere").mkdir()
    save_model(model, tmp_path / "elsewhere" / "out.onnx")
    assert [v.const_value for v in model.graph.initializers.values()] == tensors
    np.testing.assert_array_equal(outputs(tmp_path / "elsewhere" / "out.onnx"), outputs(path))


def test_a_large_model_becomes_two_files_beside_each_other(tmp_path: Path) -> None:
    path = external(tmp_path, two_matmuls())
    written = save_model(load_model(path), tmp_path / "out.onnx", largest_file_bytes=1000)
    assert written == [tmp_path / "out.onnx", tmp_path / "out.onnx.data"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.onnx", "out.onnx", "out.onnx.data", "weights.bin"]
    np.testing.assert_array_equal(outputs(tmp_path / "out.onnx"), outputs(path))
    # w1, 2 KB, is outside; b, 16 bytes, stays inside
    held = {t.name: t.data_location for t in onnx.load_model(written[0], load_external_data=False).graph.initializer}
    assert held == {"w1": TensorProto.EXTERNAL, "w2": TensorProto.DEFAULT, "b": TensorProto.DEFAULT}


def test_a_large_model_can_be_saved_over_itself(tmp_path: Path) -> None:
    path = tmp_path / "out.onnx"
    onnx.save_model(two_matmuls(), tmp_path / "in.onnx")
    expected = outputs(tmp_path / "in.onnx")
    save_model(load_model(tmp_path / "in.onnx"), path, largest_file_bytes=1000)
    for _ in range(2):
        save_model(load_model(path), path, largest_file_bytes=1000)
    np.testing.assert_array_equal(outputs(path), expected)


@pytest.mark.parametrize("largest", [1000, 2**30])
def test_a_save_that_fails_leaves_what_was_there(tmp_path: Path, largest: int, monkeypatch: Any) -> None:
    path = tmp_path / "out.onnx"
    onnx.save_model(two_matmuls(), path)
    before = path.read_bytes()

    def full(_: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(model_file, "_flush", full)
    with pytest.raises(OSError, match="No space"):
        save_model(load_model(path), path, largest_file_bytes=largest)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["out.onnx"]


def test_a_save_that_dies_between_its_two_names_leaves_no_graph_with_foreign_tensors(
    tmp_path: Path, monkeypatch: Any
) -> None:
    path = tmp_path / "out.onnx"
    onnx.save_model(two_matmuls(), tmp_path / "in.onnx")
    save_model(load_model(tmp_path / "in.onnx"), path, largest_file_bytes=1000)
    changed = load_model(path)
    replace = Path.replace

    def dies_at_the_model(self: Path, target: Path) -> Path:
        if target == path:
            raise KeyboardInterrupt
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", dies_at_the_model)
    with pytest.raises(KeyboardInterrupt):
        save_model(changed, path, largest_file_bytes=1000)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.onnx", "out.onnx.data"]


def test_constants_in_external_data_come_into_the_model(tmp_path: Path) -> None:
    weight = np.arange(300, dtype=np.float32)
    nodes = [
        helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(weight, "c")),
        helper.make_node("Add", ["x", "c"], ["y"]),
    ]
    info = helper.make_tensor_value_info
    graph = helper.make_graph(nodes, "g", [info("x", TensorProto.FLOAT, [300])], [info("y", TensorProto.FLOAT, [300])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path = tmp_path / "model.onnx"
    onnx.save_model(model, path, save_as_external_data=True, location="c.bin", size_threshold=0, convert_attribute=True)
    loaded = load_model(path)
    (tmp_path / "c.bin").unlink()
    save_model(loaded, tmp_path / "out.onnx")
    y = ort.InferenceSession(tmp_path / "out.onnx").run(None, {"x": np.zeros(300, np.float32)})[0]
    np.testing.assert_array_equal(y, weight)
    with pytest.raises(ConstantsTooLarge, match="1200 bytes"):
        save_model(loaded, tmp_path / "large.onnx", largest_file_bytes=1000)


@pytest.mark.parametrize("location", ["/etc/passwd", "../secret.bin", "sub/../../secret.bin", "a\0b"])
def test_external_data_elsewhere_is_not_read(tmp_path: Path, location: str) -> None:
    (tmp_path / "secret.bin").write_bytes(bytes(4096))
    folder = tmp_path / "models"
    folder.mkdir()
    with pytest.raises(ExternalDataOutsideFolder):
        load_model(external(folder, two_matmuls(), location=location))


def test_links_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret.bin"
    secret.write_bytes(bytes(4096))
    folder = tmp_path / "models"
    folder.mkdir()
    path = external(folder, two_matmuls())
    data = folder / "weights.bin"
    data.unlink()
    data.symlink_to(secret)
    with pytest.raises(ExternalDataOutsideFolder, match="a link that leads out"):
        load_model(path)
    data.unlink()
    os.link(secret, data)
    with pytest.raises(ExternalDataOutsideFolder, match="2 hard links"):
        load_model(path)
    data.unlink()
    (folder / "sub").symlink_to(tmp_path)
    with pytest.raises(ExternalDataOutsideFolder, match="a link that leads out"):
        load_model(external(folder, two_matmuls(), location="sub/secret.bin"))


def test_links_within_the_folder_and_links_to_the_model_are_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    path = external(tmp_path / "real", two_matmuls())
    expected = outputs(path)
    (tmp_path / "real" / "weights.bin").rename(tmp_path / "real" / "moved.bin")
    (tmp_path / "real" / "weights.bin").symlink_to("moved.bin")
    (tmp_path / "link").symlink_to("real")
    save_model(load_model(tmp_path / "link" / "model.onnx"), tmp_path / "out.onnx")
    np.testing.assert_array_equal(outputs(tmp_path / "out.onnx"), expected)


@pytest.mark.parametrize("location", ["absent.bin", "", "loop", "folder"])
def test_external_data_that_is_not_there_is_named(tmp_path: Path, location: str) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ExternalDataMissing, match="w1"):
        load_model(external(tmp_path, two_matmuls(), location=location))


@pytest.mark.parametrize("changes", [{"offset": "100000"}, {"length": "7"}])
def test_external_data_that_does_not_fit_its_tensor_is_named(tmp_path: Path, changes: Any) -> None:
    with pytest.raises(ExternalDataTruncated, match="w1 needs 2048 bytes"):
        load_model(external(tmp_path, two_matmuls(), **changes))


@pytest.mark.parametrize("changes", [{"offset": "-4"}, {"offset": "four"}])
def test_an_offset_that_is_none_makes_the_file_unreadable(tmp_path: Path, changes: Any) -> None:
    with pytest.raises(NotAnOnnxFile):
        load_model(external(tmp_path, two_matmuls(), **changes))


def test_a_file_cut_short_is_named_before_anything_is_computed(tmp_path: Path) -> None:
    path = external(tmp_path, two_matmuls())
    os.truncate(tmp_path / "weights.bin", 100)
    with pytest.raises(ExternalDataTruncated):
        load_model(path)


@pytest.mark.parametrize("content", [b"", b"\x08", b"PK\x03\x04 not a model", bytes(1000)])
def test_what_is_no_model_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(NotAnOnnxFile):
        load_model(tmp_path / "model.onnx")


LARGE = """
import sys
from pathlib import Path
from workers.quantization.graph.model_file import load_model, save_model

model = load_model(Path(sys.argv[1]))
model.graph.node("sum_0").name = "edited"
written = save_model(model, Path(sys.argv[2]))
assert len(written) == 2, written
# not ru_maxrss: that never falls below what the parent had when it started this process
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(peak.split()[1]) // 1024)
"""


def test_slow_a_model_of_more_than_2_gb_is_loaded_edited_saved_and_run(tmp_path: Path) -> None:
    """Slow: writes 2.5 GB, which are deleted again. Five tables of 512 MB; the input picks a row of each."""
    source, result = tmp_path / "large.onnx", tmp_path / "edited.onnx"
    try:
        _write_five_tables(source)
        finished = subprocess.run(
            [sys.executable, "-c", LARGE, source, result], capture_output=True, text=True, check=True
        )
        assert result.stat().st_size < 10_000
        assert (tmp_path / "edited.onnx.data").stat().st_size == 5 * 2**29
        # MB: tensors are copied in pieces, none is ever held whole
        assert int(finished.stdout) < 1000
        onnx.checker.check_model(result)
        assert [n.name for n in onnx.load_model(result, load_external_data=False).graph.node][-1] == "edited"
        y = ort.InferenceSession(result).run(None, {"row": np.int64([2**17 - 1])})[0]
        # the last value of each table is its number: 1 + 2 + 3 + 4 + 5
        assert y[0, -1] == 15.0
        assert y[0, 0] == 0.0
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 6 * 2**20
    finally:
        for path in tmp_path.iterdir():
            path.unlink()


def _write_five_tables(path: Path) -> None:
    rows, columns = 2**17, 2**10
    table_bytes = 4 * rows * columns
    data = path.with_suffix(".bin")
    with data.open("wb") as file:  # sparse: what is skipped takes no space
        for number in range(1, 6):
            file.seek(number * table_bytes - 4)
            file.write(np.float32(number).tobytes())
    tables = []
    for number in range(5):
        tensor = TensorProto(name=f"table_{number}", data_type=TensorProto.FLOAT, dims=[rows, columns])
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in {"location": data.name, "offset": number * table_bytes, "length": table_bytes}.items():
            tensor.external_data.add(key=key, value=str(value))
        tables.append(tensor)
    nodes = [
        helper.make_node("Gather", [t.name, "row"], [f"row_{i}"], name=f"gather_{i}") for i, t in enumerate(tables)
    ]
    nodes.append(helper.make_node("Sum", [f"row_{i}" for i in range(5)], ["y"], name="sum_0"))
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "tables", [info("row", TensorProto.INT64, [1])], [info("y", TensorProto.FLOAT, [1, columns])], tables
    )
    path.write_bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()
    )

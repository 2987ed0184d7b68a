import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from app.contracts.problem import ProblemFound
from workers.ingestion.data.safetensors_table import open_safetensors


def refused(path: Path, **options: Any) -> str:
    with pytest.raises(ProblemFound) as found:
        for _ in open_safetensors(path, **options).pieces(chunk_bytes=1 << 16):
            pass
    return found.value.problem.code


def by_hand(folder: Path, header: dict[str, Any], data: bytes) -> Path:
    text = json.dumps(header).encode()
    path = folder / "hand.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


@pytest.mark.parametrize(
    "dtype",
    ["float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool"],
)
def test_rows_are_those_of_the_library_that_wrote_them(tmp_path: Path, dtype: str) -> None:
    arrays = {"a": np.arange(70).reshape(10, 7).astype(dtype), "b": np.arange(10)}
    save_file(arrays, tmp_path / "d.safetensors")
    table = open_safetensors(tmp_path / "d.safetensors")
    batches = list(table.batches(4))
    assert [len(x["b"]) for x in batches] == [4, 4, 2]
    for name, array in arrays.items():
        np.testing.assert_array_equal(np.concatenate([x[name] for x in batches]), array)
    assert {c.name: (c.dtype, c.shape) for c in table.columns} == {"a": (dtype, (10, 7)), "b": ("int64", (10,))}


def test_a_limit_and_a_choice_of_columns_are_honoured(tmp_path: Path) -> None:
    save_file({"a": np.arange(10), "b": np.arange(10)}, tmp_path / "d.safetensors")
    batches = list(open_safetensors(tmp_path / "d.safetensors").batches(4, names=("a",), limit=6))
    assert [x["a"].tolist() for x in batches] == [[0, 1, 2, 3], [4, 5]]
    assert set(batches[0]) == {"a"}


def test_pieces_hold_every_element_once(tmp_path: Path) -> None:
    array = np.random.default_rng(0).normal(size=(5, 11)).astype(np.float32)
    save_file({"a": array}, tmp_path / "d.safetensors")
    pieces = list(open_safetensors(tmp_path / "d.safetensors").pieces(chunk_bytes=28))
    assert [p.start for p in pieces] == list(range(0, 55, 7))
    np.testing.assert_array_equal(np.concatenate([p.values for p in pieces]), array.reshape(-1))


def test_tensors_that_cannot_be_samples_are_refused(tmp_path: Path) -> None:
    def one(dtype: str, shape: list[int], size: int) -> Path:
        return by_hand(tmp_path, {"a": {"dtype": dtype, "shape": shape, "data_offsets": [0, size]}}, b"\2" * size)

    assert refused(one("BF16", [2], 4)) == "calibration_dtype_mismatch"
    assert refused(one("F8_E4M3", [2], 2)) == "calibration_dtype_mismatch"
    assert refused(one("F32", [], 4)) == "calibration_shape_mismatch"
    assert refused(one("F32", [0, 3], 0)) == "calibration_empty"
    assert refused(one("F32", [3, 0], 0)) == "calibration_empty"
    assert refused(one("BOOL", [2], 2)) == "safetensors_invalid"
    assert refused(by_hand(tmp_path, {}, b"")) == "calibration_empty"


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    save_file({"a": np.arange(10)}, tmp_path / "d.safetensors")
    data = (tmp_path / "d.safetensors").read_bytes()
    for damaged in (data[:-1], data + b"\0", b"\x80\x04pickle", (1 << 63).to_bytes(8, "little"), b""):
        (tmp_path / "damaged.safetensors").write_bytes(damaged)
        assert refused(tmp_path / "damaged.safetensors") == "safetensors_invalid"


def test_what_stands_beside_the_samples_is_left_alone(tmp_path: Path) -> None:
    beside = {"few": np.arange(3), "weight": np.array(3.0), "nothing": np.zeros((0, 2))}
    save_file({"x": np.ones((4, 9)), "labels": np.arange(4), **beside}, tmp_path / "d.safetensors")
    table = open_safetensors(tmp_path / "d.safetensors")
    assert table.num_samples == 4
    assert {one.name: one.code for one in table.left_out} == {
        "weight": "calibration_shape_mismatch", "nothing": "calibration_empty"
    }  # fmt: skip
    assert [set(batch) for batch in table.batches(9)] == [{"x", "labels"}]
    assert [batch["few"].tolist() for batch in table.only(["few"]).batches(9)] == [[0, 1, 2]]
    assert sum(p.values.size for p in table.pieces(chunk_bytes=64)) == 4 * 9 + 4 + 3


def test_labels_of_other_lengths_and_too_large_files_are_refused(tmp_path: Path) -> None:
    save_file({"a": np.zeros(3), "labels": np.zeros(4, np.int64)}, tmp_path / "d.safetensors")
    assert refused(tmp_path / "d.safetensors") == "labels_length_mismatch"
    assert refused(tmp_path / "d.safetensors", max_unpacked_bytes=50) == "calibration_too_large"


def test_more_tensors_than_a_model_has_inputs_are_refused(tmp_path: Path) -> None:
    save_file({f"a{i}": np.zeros(1) for i in range(257)}, tmp_path / "d.safetensors")
    assert refused(tmp_path / "d.safetensors") == "safetensors_invalid"

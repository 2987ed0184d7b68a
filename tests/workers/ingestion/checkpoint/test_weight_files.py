import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from app.contracts.problem import ProblemFound
from tests.workers.ingestion.checkpoint.safetensors_bytes import file_of, tensor
from workers.ingestion.checkpoint.weight_files import INDEX_FILE, WHOLE_FILE, refuse_code, stored_weights

FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"


def problem_of(folder: Path) -> Any:
    with pytest.raises(ProblemFound) as found:
        stored_weights(folder)
    assert str(folder) not in found.value.problem.model_dump_json()
    return found.value.problem


@pytest.fixture
def sharded(tmp_path: Path) -> Any:
    """A function that writes an index over two files, a and b in the first, c in the second."""
    save_file({"a": torch.zeros(3), "b": torch.zeros(2, dtype=torch.float16)}, tmp_path / FIRST)
    save_file({"c": torch.zeros(4, dtype=torch.int64)}, tmp_path / SECOND)

    def write(weight_map: Any = None, text: str | None = None) -> Path:
        index = {"metadata": {"total_size": 1}, "weight_map": weight_map or {"a": FIRST, "b": FIRST, "c": SECOND}}
        (tmp_path / INDEX_FILE).write_text(text or json.dumps(index))
        return tmp_path

    return write


def test_the_files_of_an_index_are_read_together(sharded: Any) -> None:
    found = stored_weights(sharded())
    assert {path.name: [t.name for t in tensors] for path, tensors in found.files.items()} == {
        FIRST: ["a", "b"],
        SECOND: ["c"],
    }
    assert found.elements == 3 + 2  # c holds integers


@pytest.mark.parametrize(
    "weight_map",
    [
        {"a": FIRST, "b": FIRST, "c": "model-00003-of-00002.safetensors"},
        {"a": FIRST, "b": FIRST, "c": "../x.safetensors"},
        {"a": FIRST, "b": FIRST, "c": "/etc/passwd"},
        {"a": FIRST, "b": FIRST, "c": "sub/x.safetensors"},
        {"a": FIRST, "b": FIRST, "c": f"{SECOND}\n"},
        {"a": FIRST, "b": FIRST, "c": ["x"]},
        {"a": FIRST, "b": FIRST, "c": FIRST},
        {"a": FIRST, "c": SECOND},
        {"a": FIRST, "b": FIRST, "c": SECOND, "d": SECOND},
        [FIRST],
    ],
    ids=str,
)
def test_an_index_that_does_not_fit_its_files_is_refused(weight_map: Any, sharded: Any) -> None:
    assert problem_of(sharded(weight_map)).code == "checkpoint_index_invalid"


@pytest.mark.parametrize(
    "text",
    [
        f'{{"weight_map":{{"a":"{FIRST}","a":"{SECOND}"}}}}',
        "{}",
        "[]",
        '{"weight_map":{}}',
        "{",
        f'{{"weight_map":{{"a":"{FIRST}"}},"n":NaN}}',
    ],
)
def test_an_index_that_is_not_one_is_refused(text: str, sharded: Any) -> None:
    assert problem_of(sharded(text=text)).code == "checkpoint_index_invalid"


def test_a_tensor_in_two_files_is_refused(sharded: Any, tmp_path: Path) -> None:
    folder = sharded({"a": FIRST, "b": FIRST, "c": SECOND})
    save_file({"a": torch.ones(3), "c": torch.zeros(4)}, tmp_path / SECOND)
    assert problem_of(folder).code == "checkpoint_index_invalid"


def test_a_pickle_by_the_name_of_a_safetensors_file_is_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(3)}, tmp_path / WHOLE_FILE)
    assert problem_of(tmp_path).code == "safetensors_invalid"


@pytest.mark.parametrize("name", ["pytorch_model.bin", "weights.pt", "model.pkl", "tf_model.h5", "flax_model.msgpack"])
def test_weights_that_can_run_code_are_not_opened(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"\x80\x04.")
    found = problem_of(tmp_path)
    assert (found.code, found.errors[0].entry) == ("checkpoint_invalid", name)
    assert "safe_serialization=True" in (found.hint or "")


def test_beside_safetensors_they_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    save_file({"a": torch.zeros(3)}, tmp_path / WHOLE_FILE)
    assert [path.name for path in stored_weights(tmp_path).files] == [WHOLE_FILE]


def test_without_weights_the_refusal_says_what_is_missing(tmp_path: Path) -> None:
    assert WHOLE_FILE in problem_of(tmp_path).detail
    (tmp_path / "adapter_config.json").write_text("{}")
    assert "merge_and_unload" in problem_of(tmp_path).hint


@pytest.mark.parametrize(
    ("header", "data"),
    [({"a": tensor("F8_E4M3", [1], 0, 1)}, b"1"), ({"a/../b": tensor("F32", [1], 0, 4)}, b"1234")],
    ids=["eight bits", "a path"],
)
def test_tensors_that_are_no_weights_in_float_are_refused(header: Any, data: bytes, tmp_path: Path) -> None:
    (tmp_path / WHOLE_FILE).write_bytes(file_of(header, data))
    assert problem_of(tmp_path).code == "checkpoint_invalid"


@pytest.mark.parametrize("name", ["modeling_evil.py", "sub/tokenization.py"])
def test_python_in_a_checkpoint_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("raise SystemExit")
    with pytest.raises(ProblemFound) as found:
        refuse_code(tmp_path)
    assert found.value.problem.code == "remote_code_not_allowed"

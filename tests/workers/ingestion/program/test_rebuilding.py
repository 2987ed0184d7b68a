"""What is refused, and what of an honest program is left."""

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch

from app.contracts.problem import ProblemFound
from tests.workers.ingestion.program.conftest import Entries, edited
from workers.ingestion.program.rebuilding import rebuild

Packed = Callable[[Entries], Path]
LIMIT = 1 << 30
GRAPH, WEIGHTS = "models/model.json", "weights_config.json"


class Touch:
    """Its pickle makes a file when it is loaded."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return Path.touch, (self.marker,)


def code_of(path: Path) -> str:
    with pytest.raises(ProblemFound) as found:
        rebuild(path, path.with_name("clean.pt2"), max_unpacked_bytes=LIMIT)
    return found.value.problem.code


def graph_of(value: Any) -> Any:
    return value["graph_module"]["graph"]


def with_hostile_samples(honest: Entries, marker: Path) -> Entries:
    saved = io.BytesIO()
    torch.save((Touch(marker),), saved)
    return {**honest, "data/sample_inputs/model.pt": saved.getvalue()}


def with_hostile_extent(honest: Entries, marker: Path) -> Entries:
    def put(value: Any) -> None:
        extent = next(s for t in graph_of(value)["tensor_values"].values() for s in t["sizes"] if "as_expr" in s)
        extent["as_expr"]["expr_str"] = f"__import__('pathlib').Path({str(marker)!r}).touch() or s77"

    return edited(honest, GRAPH, put)


@pytest.mark.parametrize("hostile", [with_hostile_samples, with_hostile_extent])
def test_what_torch_would_run_is_refused_and_not_run(
    honest: Entries, packed: Packed, tmp_path: Path, hostile: Callable[[Entries, Path], Entries]
) -> None:
    marker = tmp_path / "marker"
    path = packed(hostile(honest, marker))
    assert code_of(path) == "pt2_code_not_allowed"
    assert not marker.exists()
    with suppress(Exception):  # what it does first is what matters
        torch.export.load(path)
    assert marker.exists()  # so the file was a hostile one


def test_an_honest_program_keeps_its_numbers_and_loses_what_could_run(
    honest: Entries, packed: Packed, tmp_path: Path
) -> None:
    clean = tmp_path / "clean.pt2"
    rebuild(packed(honest), clean, max_unpacked_bytes=LIMIT)
    with zipfile.ZipFile(clean) as archive:
        kept = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    weights = [name for name in honest if name.startswith("data/weights/weight_")]
    assert len(weights) == 5
    assert all(kept[name] == honest[name] for name in weights)
    assert kept["data/sample_inputs/model.pt"] == b""
    graph = json.loads(kept[GRAPH])
    assert graph["guards_code"] == []
    assert all(node["metadata"] == {} for node in graph_of(graph)["nodes"])


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("data/aotinductor/model/anything.txt", b"", "pt2_native_code_not_allowed"),
        ("data/constants/evil.so", b"\x7fELF", "pt2_native_code_not_allowed"),
        ("data/weights/model.pt", b"", "pt2_code_not_allowed"),
        ("data/constants/model.pt", b"", "pt2_code_not_allowed"),
        ("data/constants/custom_obj_0", b"", "pt2_code_not_allowed"),
        ("data/constants/opaque_obj_0", b"", "pt2_code_not_allowed"),
        ("data.pkl", b"", "pt2_code_not_allowed"),
        ("models/second.json", b"{}", "pt2_invalid"),
        ("surprise.bin", b"", "pt2_invalid"),
        ("evil", b"\x7fELF", "pt2_invalid"),
        ("data/lib.so.1", b"\x7fELF", "pt2_invalid"),
        ("data/weights/model_0.pt", b"", "pt2_code_not_allowed"),
        ("archive_version", b"7", "pt2_version_unsupported"),
        ("byteorder", b"big", "pt2_version_unsupported"),
    ],
)
def test_an_entry_that_no_program_needs_is_refused(
    honest: Entries, packed: Packed, name: str, content: bytes, code: str
) -> None:
    assert code_of(packed({**honest, name: content})) == code


@pytest.mark.parametrize("root", ["", "archive/"])
def test_the_layout_of_older_versions_is_refused(tmp_path: Path, root: str) -> None:
    """As torch wrote it before 2.9: tensors in pickles."""
    path = tmp_path / "old.pt2"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("serialized_exported_program.json", "serialized_state_dict.pt", "serialized_constants.pt"):
            archive.writestr(root + name, b"\x80\x04.")
    with pytest.raises(ProblemFound) as found:
        rebuild(path, tmp_path / "clean.pt2", max_unpacked_bytes=LIMIT)
    assert found.value.problem.code == "pt2_version_unsupported"
    assert "ONNX" in (found.value.problem.hint or "")


@pytest.mark.parametrize("name", ["extra/evil", ".data/serialization_id", "data/sample_inputs/other.pt"])
def test_what_torch_does_not_need_is_left_behind(honest: Entries, packed: Packed, tmp_path: Path, name: str) -> None:
    rebuild(packed({**honest, name: b"\x7fELF"}), tmp_path / "clean.pt2", max_unpacked_bytes=LIMIT)
    assert b"\x7fELF" not in (tmp_path / "clean.pt2").read_bytes()


@pytest.mark.parametrize("lacking", ["data/weights/model_weights_config.json", "archive_version", GRAPH])
def test_an_entry_that_every_program_has_is_missed(honest: Entries, packed: Packed, lacking: str) -> None:
    assert code_of(packed({n: c for n, c in honest.items() if n != lacking})).startswith("pt2_")


def first_weight(**change: Any) -> Callable[[Any], None]:
    def put(value: Any) -> None:
        next(iter(value["config"].values())).update(change)

    return put


def meta(**change: Any) -> Callable[[Any], None]:
    def put(value: Any) -> None:
        next(iter(value["config"].values()))["tensor_meta"].update(change)

    return put


@pytest.mark.parametrize(
    ("edit", "code"),
    [
        (first_weight(use_pickle=True), "pt2_code_not_allowed"),
        (first_weight(path_name="custom_obj_0"), "pt2_code_not_allowed"),
        (first_weight(path_name="../constants/tensor_0"), "pt2_invalid"),
        (first_weight(path_name="weight_99"), "pt2_invalid"),
        (first_weight(surprise=1), "pt2_invalid"),
        (meta(storage_offset={"as_int": 1}), "pt2_invalid"),  # [16, 8] of 512 bytes leaves no room for one more
        (meta(strides=[{"as_int": 9}, {"as_int": 1}]), "pt2_invalid"),
        (meta(strides=[{"as_int": -8}, {"as_int": 1}]), "pt2_invalid"),
        (meta(sizes=[{"as_int": 2**40}, {"as_int": 8}]), "pt2_invalid"),
        (meta(sizes=[{"as_expr": {"expr_str": "s0"}}, {"as_int": 8}]), "pt2_invalid"),
        (meta(dtype=99), "pt2_invalid"),
        (meta(device={"type": "cuda", "index": 0}), "pt2_invalid"),
    ],
)
def test_a_tensor_that_does_not_lie_in_its_file_is_refused(
    honest: Entries, packed: Packed, edit: Callable[[Any], None], code: str
) -> None:
    assert code_of(packed(edited(honest, WEIGHTS, edit))) == code


def _target(target: str) -> Callable[[Any], None]:
    def put(value: Any) -> None:
        graph_of(value)["nodes"][0]["target"] = target

    return put


def _field(**change: Any) -> Callable[[Any], None]:
    def put(value: Any) -> None:
        value.update(change)

    return put


def _argument(value: Any) -> None:
    graph_of(value)["nodes"][0]["inputs"][0]["arg"] = {"as_operator": "torch.ops.aten.relu.default"}


def _tree(value: Any) -> None:
    signature = value["graph_module"]["module_call_graph"][0]["signature"]
    signature["in_spec"] = json.dumps([1, {"type": "subprocess.Popen", "context": "null", "children_spec": []}])


@pytest.mark.parametrize(
    ("edit", "code"),
    [
        (_target("torch.load"), "pt2_code_not_allowed"),
        (_target("torch.ops.aten.from_file.default"), "pt2_code_not_allowed"),
        (_target("torch.ops.higher_order.cond"), "pt2_code_not_allowed"),
        (_target("#extension:evil"), "pt2_code_not_allowed"),
        (_target("torch.ops.aten.__class__.default.more"), "pt2_code_not_allowed"),
        (_argument, "pt2_code_not_allowed"),
        (_tree, "pt2_code_not_allowed"),
        (_field(range_constraints={"__import__('os')": {"min_val": 0, "max_val": 1}}), "pt2_code_not_allowed"),
        (_field(schema_version={"major": 9, "minor": 0}), "pt2_version_unsupported"),
        (_field(surprise=1), "pt2_invalid"),
    ],
)
def test_a_graph_that_names_what_is_not_on_the_list_is_refused(
    honest: Entries, packed: Packed, edit: Callable[[Any], None], code: str
) -> None:
    assert code_of(packed(edited(honest, GRAPH, edit))) == code


def test_a_graph_that_is_no_json_is_refused(honest: Entries, packed: Packed) -> None:
    assert code_of(packed({**honest, GRAPH: b'{"graph_module": {}, "graph_module": {}}'})) == "pt2_invalid"
    assert code_of(packed({**honest, GRAPH: b"[" * 10_000})) == "pt2_invalid"


def test_a_bare_pickle_as_example_inputs_is_refused(honest: Entries, packed: Packed, tmp_path: Path) -> None:
    hostile = pickle.dumps(Touch(tmp_path / "marker"), protocol=2)
    assert code_of(packed({**honest, "data/sample_inputs/model.pt": hostile})) == "pt2_code_not_allowed"

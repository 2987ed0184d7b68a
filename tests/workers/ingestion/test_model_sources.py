import io
import zipfile
from pathlib import Path
from typing import Any

import pytest

from app.contracts.problem import ProblemFound
from tests.workers.ingestion.onnx_model.uploads import outputs, saved
from tests.workers.quantization.small_models import two_matmuls
from workers.pipeline.inspection.model import inspect_model
from workers.protocol.reporter import Reporter
from workers.protocol.tasks import InspectModelTask


@pytest.fixture
def inspect(tmp_path: Path, reporter: Reporter) -> Any:
    """A function that packs files as a zip and returns what is found in it."""

    def run(files: dict[str, bytes], **task: Any) -> Any:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        (tmp_path / "m.archive").write_bytes(packed.getvalue())
        return inspect_model(InspectModelTask(model="m.archive", format="archive", **task), tmp_path, reporter)

    return run


@pytest.fixture
def upload(tmp_path: Path) -> dict[str, bytes]:
    """An ONNX model with its external data."""
    folder = tmp_path / "packed"
    folder.mkdir()
    saved(folder, two_matmuls())
    return {p.name: p.read_bytes() for p in folder.iterdir()}


@pytest.mark.parametrize("prefix", ["", "export/v1/"])
def test_an_archive_with_a_model_and_its_weights(
    inspect: Any, upload: dict[str, bytes], tmp_path: Path, prefix: str
) -> None:
    found = inspect({f"{prefix}{name}": content for name, content in upload.items()} | {"README.md": b"hello"})
    assert found.files == ("model.onnx",)
    assert found.inspection.format == "onnx"
    assert found.inspection.parameters_by_dtype == {"float32": 16 * 32 + 32 * 4 + 4}
    expected = outputs(tmp_path / "packed" / "model.onnx")
    assert (outputs(tmp_path / "outputs" / "model.onnx")[0] == expected[0]).all()


def test_weights_outside_of_the_models_folder_are_not_found(inspect: Any, upload: dict[str, bytes]) -> None:
    with pytest.raises(ProblemFound) as found:
        inspect({"a/model.onnx": upload["model.onnx"], "weights.bin": upload["weights.bin"]})
    assert found.value.problem.code == "onnx_external_data_missing"


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"a.onnx": b"x", "b/c.onnx": b"x"}, ("2 ONNX files", "a.onnx", "b/c.onnx")),
        ({"README.md": b"x", "weights.bin": b"x"}, ("neither", "README.md")),
        ({"a/config.json": b"{}", "b/weights.bin": b"x"}, ("neither",)),
        ({f"{i}.txt": b"x" for i in range(9)}, ("neither", "4 more")),
    ],
)
def test_an_archive_without_exactly_one_model_says_what_it_holds(inspect: Any, files: Any, words: Any) -> None:
    with pytest.raises(ProblemFound) as found:
        inspect(files)
    problem = found.value.problem
    assert problem.code == "model_archive_invalid"
    assert all(word in problem.detail for word in words)
    assert ".onnx" in problem.hint
    assert "config.json" in problem.hint


def test_a_config_in_the_only_folder_is_a_checkpoint(inspect: Any) -> None:
    with pytest.raises(ProblemFound) as found:
        inspect({"model/config.json": b'{"model_type": "no such thing"}', "model/model.safetensors": b"x"})
    assert found.value.problem.code == "architecture_not_supported"


def test_what_unpacks_to_too_much_is_refused(inspect: Any, upload: dict[str, bytes]) -> None:
    with pytest.raises(ProblemFound) as found:
        inspect(upload, max_unpacked_bytes=100)
    assert found.value.problem.code == "archive_bomb"


def test_a_program_is_refused_where_the_service_does_not_take_any(tmp_path: Path, reporter: Reporter) -> None:
    (tmp_path / "m.pt2").write_bytes(b"PK\x03\x04")
    with pytest.raises(ProblemFound) as found:
        inspect_model(InspectModelTask(model="m.pt2", format="torch_export"), tmp_path, reporter)
    assert found.value.problem.code == "pt2_not_allowed"


def test_a_model_alone_finds_no_file_of_the_job_beside_it(
    tmp_path: Path, reporter: Reporter, upload: dict[str, bytes]
) -> None:
    (tmp_path / "m.onnx").write_bytes(upload["model.onnx"])
    (tmp_path / "weights.bin").write_bytes(upload["weights.bin"])
    with pytest.raises(ProblemFound) as found:
        inspect_model(InspectModelTask(model="m.onnx"), tmp_path, reporter)
    assert found.value.problem.code == "onnx_external_data_missing"


def test_a_tokenizer_beside_the_model_comes_along(inspect: Any, tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel({"[PAD]": 0, "[UNK]": 1, "good": 2}, unk_token="[UNK]"))
    words.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    found = inspect({"model.onnx": two_matmuls().SerializeToString(), "tokenizer.json": words.to_str().encode()})
    assert found.files == ("model.onnx", "tokenizer.json", "tokenizer_facts.json")
    assert found.inspection.tokenizer.vocabulary == 3
    assert sorted(p.name for p in (tmp_path / "outputs").iterdir()) == sorted(found.files)


def test_onnx_files_are_found_whatever_the_case_of_their_suffix(inspect: Any) -> None:
    found = inspect({"MODEL.ONNX": two_matmuls().SerializeToString()})
    assert found.files == ("model.onnx",)

"""Models and data sets on their way, against a service on paper that finds everything ready."""

import hashlib
import io
import json
import tempfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
from lowbit import Client, UnsuitableSource
from lowbit.client import Sending, ready_dataset, ready_model
from lowbit.folder_contents import Contents
from lowbit.resources import ImagePreparation

from tests.client.folders import MINILM, fill

IMAGES: ImagePreparation = {"kind": "image", "height": 8, "width": 8}


@dataclass
class PaperService:
    files: list[tuple[str, str, bytes]] = field(default_factory=list)
    """Name, purpose, content."""
    made: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        request.read()
        kind = request.url.path.split("/")[2]
        if kind == "files":
            named = request.url.params
            self.files.append((named["filename"], named["purpose"], request.content))
            return httpx2.Response(201, json={"id": "file_1"})
        if request.method == "POST":
            self.made.append((kind, json.loads(request.content)))
        else:
            self.asked.append(request.url.path.split("/")[3])
        return httpx2.Response(200, json={"id": "x_1", "status": "ready", "problem": None})


@pytest.fixture
def service() -> PaperService:
    return PaperService()


@pytest.fixture
def client(service: PaperService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Client:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return Client("http://service.test", "key", transport=httpx2.MockTransport(service))


def entries(content: bytes) -> list[str]:
    return zipfile.ZipFile(io.BytesIO(content)).namelist()


def test_a_folder_is_packed_told_sent_under_its_name_and_tidied_away(
    client: Client, service: PaperService, tmp_path: Path
) -> None:
    folder = fill(tmp_path / "minilm", MINILM)
    steps: list[tuple[Path, int, int]] = []
    told: list[Contents] = []
    client.models.upload(folder, on_progress=lambda *step: steps.append(step), on_packed=told.append)
    [(name, purpose, content)] = service.files
    assert (name, purpose) == ("minilm.zip", "model")
    assert entries(content) == [member.name for member in told[0].members]
    assert "pytorch_model.bin" in told[0].left_out
    assert steps[-1] == (folder, len(content), len(content))
    assert service.made == [("models", {"file_id": "file_1", "name": "minilm"})]
    assert not list((tmp_path / "temporary").iterdir())


def test_a_folder_sent_again_is_the_same_file(client: Client, service: PaperService, tmp_path: Path) -> None:
    for place in ("here", "there"):
        client.models.upload(fill(tmp_path / place / "minilm", MINILM))
    first, second = (hashlib.sha256(content).hexdigest() for *_, content in service.files)
    assert first == second


def test_a_model_with_its_weights_beside_it_keeps_its_name(
    client: Client, service: PaperService, tmp_path: Path
) -> None:
    fill(tmp_path, {"model.onnx": 5, "model.onnx_data": 50, "calibration.npz": 5})
    client.models.upload(tmp_path / "model.onnx")
    assert (service.files[0][0], entries(service.files[0][2])) == ("model.zip", ["model.onnx", "model.onnx_data"])
    assert service.made[0][1]["name"] == "model.onnx"


def test_data_is_declared_when_it_is_made(client: Client, service: PaperService, tmp_path: Path) -> None:
    client.datasets.upload(fill(tmp_path / "pets", {"cat/1.png": 5}), "first", preparation=IMAGES)
    client.datasets.upload(fill(tmp_path, {"reviews.jsonl": 5}) / "reviews.jsonl")
    client.datasets.create("file_2", "third", {"kind": "text", "label": "stars"})
    assert [name for name, *_ in service.files] == ["pets.zip", "reviews.jsonl"]
    assert service.made == [
        ("datasets", {"file_id": "file_1", "name": "first", "preparation": IMAGES}),
        ("datasets", {"file_id": "file_1", "name": "reviews.jsonl"}),
        ("datasets", {"file_id": "file_2", "name": "third", "preparation": {"kind": "text", "label": "stars"}}),
    ]


def test_nothing_is_sent_of_a_folder_that_holds_nothing(client: Client, service: PaperService, tmp_path: Path) -> None:
    for upload in (client.models.upload, client.datasets.upload):
        with pytest.raises(UnsuitableSource):
            upload(tmp_path / "temporary")
    assert not service.files


def test_a_job_declares_all_data_that_it_uploads(client: Client, service: PaperService, tmp_path: Path) -> None:
    pets = fill(tmp_path / "pets", {"cat/1.png": 5})
    fill(tmp_path, {"model.onnx": 5})
    client.quantize(tmp_path / "model.onnx", calibration=pets, evaluation=pets, preparation=IMAGES)
    assert [(kind, body.get("preparation")) for kind, body in service.made] == [
        ("models", None),
        ("datasets", IMAGES),
        ("datasets", IMAGES),
        ("jobs", None),
    ]


def test_an_id_is_waited_for_unless_a_path_has_that_name(
    client: Client, service: PaperService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(fill(tmp_path, {"ds_of/1.png": 5, "mdl_of.onnx": 5}))
    assert ready_model(client, "mdl_1", Sending()) == "x_1"
    assert ready_dataset(client, "ds_1", Sending()) == "x_1"
    assert (service.asked, service.files) == (["mdl_1", "ds_1"], [])
    ready_model(client, "mdl_of.onnx", Sending())
    ready_dataset(client, "ds_of", Sending())
    assert [name for name, *_ in service.files] == ["mdl_of.onnx", "ds_of.zip"]

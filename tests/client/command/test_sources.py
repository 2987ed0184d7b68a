import os
from pathlib import Path

import pytest
import typer
from lowbit.command.sources import FILES, dataset_path, dataset_source, is_id, model_path, model_source

from tests.client.folders import MINILM, fill


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", ["model.onnx", "MODEL.ONNX", "m.zip", "m.tar", "m.tar.gz", "m.tgz", "m.pt2"])
def test_these_files_are_models(name: str, tmp_path: Path) -> None:
    fill(tmp_path, {name: 5})
    assert model_source(name) == model_path(name) == name


@pytest.mark.parametrize(
    "name", ["data.npz", "d.safetensors", "d.parquet", "d.jsonl", "d.csv", "images.zip", "a.b.CSV"]
)
def test_these_files_are_data(name: str, tmp_path: Path) -> None:
    fill(tmp_path, {name: 5})
    assert dataset_source(name) == dataset_path(name) == name


def test_folders_are_models_and_images(tmp_path: Path) -> None:
    fill(tmp_path / "minilm", MINILM)
    fill(tmp_path / "pets", {"cat/1.png": 1})
    assert (model_source("minilm/"), dataset_source("pets")) == ("minilm/", "pets")


@pytest.mark.parametrize(
    "name", ["model.pt", "model.bin", "model.gz", "model", "data.npz", "x.safetensors", ".onnx.bak"]
)
def test_other_files_are_refused_with_what_is_accepted(name: str, tmp_path: Path) -> None:
    fill(tmp_path, {name: 5})
    with pytest.raises(typer.BadParameter) as refused:
        model_source(name)
    assert repr(name) in str(refused.value)
    assert all(suffix in str(refused.value) for suffix in FILES["model"])
    assert "folder" in str(refused.value)


@pytest.mark.parametrize("name", ["data.npy", "model.onnx", "data.json", "photo.png", "data.xlsx"])
def test_other_data_is_refused_with_what_is_accepted(name: str, tmp_path: Path) -> None:
    fill(tmp_path, {name: 5})
    with pytest.raises(typer.BadParameter, match=r"\.npz, .*\.zip files, or a folder of images"):
        dataset_source(name)


def test_a_folder_that_holds_nothing_of_use_says_so_before_anything_is_sent(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(typer.BadParameter, match="holds no model"):
        model_source("empty")
    with pytest.raises(typer.BadParameter, match="holds no images"):
        dataset_source("empty")


def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.onnx")
    with pytest.raises(typer.BadParameter, match="is not accepted"):
        model_source("model.onnx")


def test_ids_are_sources_and_no_paths(tmp_path: Path) -> None:
    assert (model_source("mdl_1"), dataset_source("ds_1"), dataset_source(None)) == ("mdl_1", "ds_1", None)
    for check, given in ((model_source, "ds_1"), (dataset_source, "mdl_1"), (model_path, "mdl_1")):
        with pytest.raises(typer.BadParameter, match="there is no file or folder"):
            check(given)
    fill(tmp_path, {"ds_2/1.png": 1})
    assert (is_id("ds_1"), is_id("ds_2")) == (True, False)

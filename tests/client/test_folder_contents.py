from pathlib import Path

import pytest
from lowbit import UnsuitableSource
from lowbit.folder_contents import Contents, title, to_pack
from lowbit.resources import Purpose

from tests.client.folders import fill


def packed(path: Path, purpose: Purpose) -> Contents:
    contents = to_pack(path, purpose)
    assert contents is not None
    return contents


def names(contents: Contents) -> list[str]:
    return [member.name for member in contents.members]


def test_images_are_sent_with_their_folders_and_labels_and_nothing_else(tmp_path: Path) -> None:
    images = {"cat/1.png": 3, "dog/2.JPEG": 4, "dog/3.webp": 5, "labels.csv": 6}
    others = {"notes.txt": 1, ".DS_Store": 1, "dog/.thumb.png": 1, "dog/labels.csv": 1, "__MACOSX/cat/1.png": 1}
    contents = packed(fill(tmp_path / "pets", images | others), "dataset")
    assert (contents.name, names(contents), contents.bytes) == ("pets", sorted(images), 3 + 4 + 5 + 6)
    assert contents.left_out == (".DS_Store", "__MACOSX/", "dog/.thumb.png", "dog/labels.csv", "notes.txt")


@pytest.mark.parametrize("files", [{}, {"data.npz": 5}, {"labels.csv": 5}, {"empty/.keep": 0}])
def test_a_folder_without_images_is_no_data(tmp_path: Path, files: dict[str, int]) -> None:
    with pytest.raises(UnsuitableSource, match=r"holds no images.*\.jpeg"):
        to_pack(fill(tmp_path, files), "dataset")


def test_an_onnx_file_alone_is_sent_as_it_is(tmp_path: Path) -> None:
    fill(tmp_path, {"model.onnx": 5, "other.onnx": 5, "other.onnx_data": 5, "calibration.npz": 5})
    assert to_pack(tmp_path / "model.onnx", "model") is None
    assert to_pack(tmp_path / "calibration.npz", "dataset") is None
    assert to_pack(tmp_path / "absent.onnx", "model") is None


@pytest.mark.parametrize(
    "weights",
    [["m.onnx.data"], ["m.onnx_data"], ["m.onnx_data", "m.onnx_data_1", "m.onnx_data_12"], ["model.onnx_data"]],
)
def test_an_onnx_file_takes_its_weights_along(tmp_path: Path, weights: list[str]) -> None:
    strangers = ["m.onnx.database", "mxonnx_data", "m.onnx_data_x", "tokenizer.json"]
    fill(tmp_path, dict.fromkeys(["m.onnx", *weights, *strangers], 7))
    contents = packed(tmp_path / "m.onnx", "model")
    assert (contents.name, names(contents)) == ("m", ["m.onnx", *weights])


def test_the_weights_of_another_model_stay_where_they_are(tmp_path: Path) -> None:
    fill(tmp_path, {"small.onnx": 5, "model.onnx": 5, "model.onnx_data": 5})
    assert to_pack(tmp_path / "small.onnx", "model") is None


def test_weights_that_are_a_link_to_elsewhere_are_refused(tmp_path: Path) -> None:
    fill(tmp_path, {"secret": 5, "folder/m.onnx": 5})
    (tmp_path / "folder" / "m.onnx_data").symlink_to(tmp_path / "secret")
    with pytest.raises(UnsuitableSource, match="outside of the folder"):
        to_pack(tmp_path / "folder" / "m.onnx", "model")


def test_a_folder_has_a_name_however_it_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "minilm" / "sub").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "minilm" / "sub")
    assert [title(Path(given)) for given in (".", "..", "../", "../../minilm", "/")] == [
        "sub",
        "minilm",
        "minilm",
        "minilm",
        "folder",
    ]

from pathlib import Path

import pytest
from lowbit import UnsuitableSource
from lowbit.folder_contents import to_pack

from tests.client.folders import MINILM, fill


def sent(folder: Path) -> list[str]:
    contents = to_pack(folder, "model")
    assert contents is not None
    return [member.name for member in contents.members]


def test_a_checkpoint_is_its_weights_configuration_and_tokenizer(tmp_path: Path) -> None:
    contents = to_pack(fill(tmp_path / "minilm", MINILM), "model")
    assert contents is not None
    assert [member.name for member in contents.members] == [
        "1_Pooling/config.json",
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.txt",
    ]
    assert contents.left_out == (
        ".git/",
        ".gitattributes",
        "README.md",
        "__pycache__/",
        "checkpoint-500/",
        "flax_model.msgpack",
        "onnx/",
        "openvino/",
        "pytorch_model.bin",
        "pytorch_model.bin.index.json",
        "rust_model.ot",
        "tf_model.h5",
        "train_script.py",
        "training_args.bin",
    )


def test_a_checkpoint_may_come_in_shards(tmp_path: Path) -> None:
    shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    names = ["config.json", *shards, "model.safetensors.index.json", "spiece.model", "chat_template.jinja"]
    assert sent(fill(tmp_path, dict.fromkeys(names, 9))) == sorted(names)


def test_an_onnx_model_takes_along_what_may_hold_its_weights(tmp_path: Path) -> None:
    model = ["model.onnx", "weights.bin", "0b7c2f54-conv1", "parts/w.data", "tokenizer.json"]
    others = ["calibration.npz", "sample.png", "old.zip", "model.pt", "convert.py", "model.plan", ".cache/x"]
    assert sent(fill(tmp_path, dict.fromkeys([*model, *others], 9))) == sorted(model)


def test_an_onnx_model_may_lie_in_a_folder_of_its_own(tmp_path: Path) -> None:
    files = ["config.json", "onnx/model.onnx", "onnx/model.onnx_data", "tokenizer.json"]
    assert sent(fill(tmp_path, dict.fromkeys([*files, "pytorch_model.bin"], 9))) == files


def test_which_of_several_models_is_for_the_user_to_say(tmp_path: Path) -> None:
    fill(tmp_path, dict.fromkeys(["config.json", *(f"onnx/model_{kind}.onnx" for kind in "abcdef")], 9))
    with pytest.raises(UnsuitableSource) as refused:
        sent(tmp_path)
    assert "holds 6 ONNX models: onnx/model_a.onnx, " in str(refused.value)
    assert str(refused.value).endswith("onnx/model_e.onnx, .... Name one of the files.")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, r"no model.*config\.json with \.safetensors.*\.onnx"),
        ({"README.md": 9, "weights.safetensors": 9}, "no model"),
        ({".hidden/model.onnx": 9}, "no model"),
        ({"config.json": 9, "pytorch_model.bin": 9}, r"pickled weights are never loaded.*safe_serialization=True"),
        ({"config.json": 9, "openvino/model.onnx": 9}, "no .safetensors"),
    ],
)
def test_a_folder_without_a_model_is_told_what_one_looks_like(
    tmp_path: Path, files: dict[str, int], message: str
) -> None:
    with pytest.raises(UnsuitableSource, match=message):
        sent(fill(tmp_path, files))

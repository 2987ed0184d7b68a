"""Folders to send, made of names and sizes."""

from pathlib import Path

MINILM = {
    "config.json": 600,
    "model.safetensors": 9000,
    "tokenizer.json": 700,
    "tokenizer_config.json": 300,
    "vocab.txt": 200,
    "1_Pooling/config.json": 190,
    # and what its repository has besides
    "README.md": 50,
    "pytorch_model.bin": 9000,
    "pytorch_model.bin.index.json": 10,
    "tf_model.h5": 9000,
    "rust_model.ot": 9000,
    "flax_model.msgpack": 9000,
    "train_script.py": 80,
    "training_args.bin": 20,
    "onnx/model.onnx": 4000,
    "openvino/openvino_model.xml": 300,
    "checkpoint-500/model.safetensors": 9000,
    ".git/HEAD": 20,
    ".gitattributes": 20,
    "__pycache__/train_script.pyc": 20,
}


def fill(folder: Path, files: dict[str, int]) -> Path:
    """Each file has its name, repeated."""
    for name, size in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = name.encode() or b"-"
        path.write_bytes((text * (size // len(text) + 1))[:size])
    return folder

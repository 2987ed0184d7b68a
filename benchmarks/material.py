"""The networks, what ONNX Runtime's tool wants done to them first, and data made on the spot."""

import json
import sys
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np
import numpy.typing as npt
import onnx
from onnx import version_converter
from onnxruntime.quantization.shape_inference import quant_pre_process
from PIL import Image, ImageDraw, ImageFont

from benchmarks.assignment import Material
from tests.real_data import MAGIKA, READER, files_as_bytes

_WIDTH, _HEIGHT = 160, 48
_OPSET_FOR_PEER = 17  # per-channel weights need 13 or newer


def make(material: Material) -> None:
    """Write model.onnx, peer.onnx, calibration.npz and held_out.npz: no held-out sample is calibrated on."""
    folder = Path(material.folder)
    model = READER if material.subject == "reader" else MAGIKA
    (folder / "model.onnx").write_bytes(model.read_bytes())
    preprocess(model, folder / "peer.onnx")
    total = material.samples + material.held_out
    name, samples = ("x", lines_of_text(total)) if material.subject == "reader" else ("bytes", files_as_bytes(total))
    # named by string: both are arrays of the archive, not options of savez
    np.savez(folder / "calibration.npz", **{name: samples[: material.samples]})  # type: ignore[arg-type]
    np.savez(folder / "held_out.npz", **{name: samples[material.samples :]})  # type: ignore[arg-type]


def lines_of_text(count: int) -> npt.NDArray[np.float32]:
    """Rendered lines as the reader wants them: [count, 3, 48, 160], -1..1. The words are Python's own manual."""
    words = " ".join(topics.values()).split()
    rng = np.random.default_rng(0)
    return np.stack([_line(words, rng) for _ in range(count)])


def _line(words: list[str], rng: np.random.Generator) -> npt.NDArray[np.float32]:
    paper, ink = int(rng.integers(170, 256)), int(rng.integers(0, 100))
    image = Image.new("RGB", (_WIDTH, _HEIGHT), (paper, paper, paper))
    font = ImageFont.load_default(float(rng.integers(20, 33)))
    text = _fitting(words[int(rng.integers(len(words))) :], font)
    ImageDraw.Draw(image).text((4, _HEIGHT / 2), text, fill=(ink, ink, ink), font=font, anchor="lm")
    noise = rng.normal(0.0, 4.0, (_HEIGHT, _WIDTH, 3)).astype(np.float32)
    pixels = np.clip(np.asarray(image, np.float32) + noise, 0.0, 255.0) / 127.5 - 1.0
    # [height, width, colour] -> [colour, height, width]
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _fitting(words: list[str], font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """As many of the words as the line holds: what is cut off at the edge, the reader can only guess."""
    line = words[0]
    for word in words[1:]:
        if font.getlength(f"{line} {word}") > _WIDTH - 8:
            break
        line = f"{line} {word}"
    return line


def preprocess(model: Path, written: Path) -> None:
    """Its own optimisation and shape inference; the symbolic part of it gives up on the reader, so it is left out."""
    proto = onnx.load(model)
    if proto.opset_import[0].version < _OPSET_FOR_PEER:
        proto = version_converter.convert_version(proto, _OPSET_FOR_PEER)
    onnx.save(proto, written)  # it does take a model in memory, but then fails on its own temporary files
    quant_pre_process(str(written), str(written), skip_symbolic_shape=True)


if __name__ == "__main__":
    make(Material(**json.loads(sys.argv[1])))

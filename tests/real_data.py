"""Networks that come in packages, and data for them made on the spot from real files and rendered text."""

import random
from pathlib import Path
from typing import Any

import magika
import numpy as np
import rapidocr
from PIL import Image, ImageDraw, ImageFont

MAGIKA = next(Path(magika.__file__).parent.glob("models/*/model.onnx"))
READERS = sorted(Path(rapidocr.__file__).parent.glob("models/*.onnx"))
READER = next(path for path in READERS if "rec" in path.name)

Array = np.ndarray[Any, Any]
WORDS = ("model", "12.5%", "Invoice", "total", "2026", "street")


def files_as_bytes(count: int) -> Array:
    """Real files as magika reads them: [count, 2048] int32."""
    files = sorted(p for p in Path(magika.__file__).parents[1].glob("*/*.*") if p.is_file() and p.stat().st_size > 100)
    return np.stack([_head_and_tail(path) for path in random.Random(0).sample(files, count)])


def lines_of_text(count: int) -> Array:
    """Rendered lines as the reader wants them: [count, 3, 48, 160] float32, -1..1."""
    rng = random.Random(0)
    return np.stack([_line_of_text(rng) for _ in range(count)])


def text_line(rng: random.Random, words: str, *, width: int) -> Image.Image:
    """Dark words on light paper, 48 pixels high."""
    image = Image.new("RGB", (width, 48), (rng.randint(200, 255),) * 3)
    font = ImageFont.load_default(rng.randint(18, 24))
    ImageDraw.Draw(image).text((4, 10), words, fill=(rng.randint(0, 80),) * 3, font=font)
    return image


def _head_and_tail(path: Path) -> Array:
    """The first and last 1,024 bytes of a file, 256 where there are none."""
    data = path.read_bytes()
    tokens = np.full(2048, 256, np.int32)
    head, tail = data[:1024], data[-1024:]
    tokens[: len(head)] = list(head)
    tokens[2048 - len(tail) :] = list(tail)
    return tokens


def _line_of_text(rng: random.Random) -> Array:
    image = text_line(rng, " ".join(rng.choice(WORDS) for _ in range(2)), width=160)
    pixels = np.asarray(image, np.float32) / 127.5 - 1.0
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))

"""A zip of images as a model's batches: which input, which order, which refusals, and how much memory."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.contracts.inspection import ModelInspection, TensorSpec
from app.contracts.preparation import ImagePreparation
from app.contracts.problem import ProblemFound
from tests.workers.ingestion.data.pictures import encoded, noise, photographs, zipped
from workers.ingestion.data import images_archive
from workers.ingestion.data.images import open_images
from workers.ingestion.data.samples import LABELS, Samples

SMALL = ImagePreparation(height=8, width=12, resize="stretch")


def model(*shapes: Any, dtype: str = "float32", **more: Any) -> ModelInspection:
    inputs = tuple(TensorSpec(name=f"in{i}", dtype=dtype, shape=shape) for i, shape in enumerate(shapes))
    return ModelInspection(
        inputs=inputs, outputs=(), opset=17, ir_version=8, producer="test", op_counts={}, parameters=0,
        already_quantized=False, **more,
    )  # fmt: skip


ANY = model(("n", 3, "h", "w"))


@pytest.fixture
def zip_of(tmp_path: Path) -> Any:
    return lambda files: zipped(tmp_path / "images.zip", files)


def pictures(count: int, *, folders: int = 0) -> dict[str, bytes]:
    """Each of one grey, which is its number."""
    return {
        (f"c{i % folders}/{i:03}.png" if folders else f"{i:03}.png"): encoded(Image.new("RGB", (20 + i, 15), (i, i, i)))
        for i in range(count)
    }


def refusal(path: Path, preparation: ImagePreparation | None = SMALL, of: ModelInspection = ANY) -> Any:
    with pytest.raises(ProblemFound) as found:
        list(open_images(path, preparation, of).batches(4))
    return found.value.problem


# samples


def test_images_become_batches_of_the_models_input(zip_of: Any) -> None:
    samples: Samples = open_images(zip_of(pictures(10)), SMALL, ANY)
    assert samples.num_samples == 10
    assert samples.columns == (("in0", "float32", (10, 3, 8, 12)),)
    batches = list(samples.batches(4))
    assert [list(b) for b in batches] == [["in0"]] * 3
    assert [b["in0"].shape for b in batches] == [(4, 3, 8, 12), (4, 3, 8, 12), (2, 3, 8, 12)]
    greys = np.concatenate([b["in0"] for b in batches])[:, 0, 0, 0]
    np.testing.assert_array_equal(greys, (np.arange(10) / 255).astype(np.float32))


def test_the_order_is_that_of_the_names_and_labels_go_along(zip_of: Any) -> None:
    images = pictures(6, folders=2)
    path = zip_of({name: images[name] for name in sorted(images, reverse=True)})
    samples = open_images(path, SMALL, ANY)
    assert samples.columns[1] == (LABELS, "int64", (6,))
    (batch,) = samples.batches(100)
    assert list(np.round(batch["in0"][:, 0, 0, 0] * 255)) == [0, 2, 4, 1, 3, 5]
    assert batch[LABELS].tolist() == [0, 0, 0, 1, 1, 1]
    assert batch[LABELS].dtype == np.int64


def test_reading_twice_and_in_other_batches_gives_the_same(zip_of: Any) -> None:
    samples = open_images(zip_of({f"{i}.jpg": encoded(noise(30, 20, i), "JPEG") for i in range(7)}), SMALL, ANY)
    once, again = (np.concatenate([b["in0"] for b in samples.batches(rows)]) for rows in (7, 3))
    np.testing.assert_array_equal(once, again)


def test_the_limit_and_the_names_are_kept(zip_of: Any) -> None:
    samples = open_images(zip_of(pictures(10, folders=2)), SMALL, ANY)
    assert [len(b["in0"]) for b in samples.batches(4, limit=5)] == [4, 1]
    assert [list(b) for b in samples.batches(6, names=(LABELS, "other"))] == [[LABELS], [LABELS]]
    assert [list(b) for b in samples.batches(10, names=("in0",))] == [["in0"]]


def test_only_labels_means_that_no_image_is_decoded(zip_of: Any) -> None:
    samples = open_images(zip_of({"a/1.png": b"no image", "b/2.png": b"no image"}), SMALL, ANY)
    assert [b[LABELS].tolist() for b in samples.batches(1, names=(LABELS,))] == [[0], [1]]


def test_labels_come_from_a_file_in_the_order_of_the_model(zip_of: Any) -> None:
    path = zip_of(pictures(3) | {"labels.csv": "file,label\n002.png,dog\n000.png,cat\n001.png,dog\n"})
    (batch,) = open_images(path, SMALL, model(("n", 3, 8, 12), classes=("emu", "dog", "cat"))).batches(3)
    assert batch[LABELS].tolist() == [2, 1, 1]


def test_classes_that_nobody_put_in_order_are_sorted_and_that_is_told(zip_of: Any) -> None:
    told: list[tuple[str, str]] = []
    images = pictures(4, folders=2)
    open_images(zip_of(images), SMALL, ANY, warn=lambda code, detail: told.append((code, detail)))
    assert told == [("classes_in_alphabetical_order", "Nobody put the classes in order, so they were sorted: c0, c1.")]
    told.clear()
    ordered = SMALL.model_copy(update={"classes": ("c1", "c0")})
    open_images(zip_of(images), ordered, ANY, warn=lambda code, detail: told.append((code, detail)))
    assert told == []


def test_the_models_own_preparation_is_used_when_the_data_set_declares_none(zip_of: Any) -> None:
    path = zip_of(pictures(1))
    assert open_images(path, None, model(("n", 3, 8, 12), image_preparation=SMALL)).columns[0].shape == (1, 3, 8, 12)


def test_a_model_of_bytes_gets_bytes(zip_of: Any) -> None:
    preparation = ImagePreparation(height=15, width=20, layout="NHWC", scale=1.0)
    samples = open_images(zip_of({"1.png": encoded(noise(20, 15))}), preparation, model((1, 15, 20, 3), dtype="uint8"))
    (batch,) = samples.batches(1)
    np.testing.assert_array_equal(batch["in0"][0], np.asarray(noise(20, 15)))
    assert samples.columns[0].dtype == "uint8"


# refusals


@pytest.mark.parametrize(
    ("preparation", "of", "code"),
    [
        (SMALL, model(("n", 3, 299, 299)), "calibration_shape_mismatch"),
        (SMALL, model(("n", 3, 8, 12), ("n", 2)), "calibration_input_missing"),
        (SMALL, model(("n", 3, 8, 12), dtype="int64"), "calibration_shape_mismatch"),
        (SMALL, model(("n", 3, 8, 12), dtype="uint8"), "preparation_invalid"),
        (SMALL.model_copy(update={"input": "other"}), ANY, "preparation_invalid"),
        (None, ANY, "preparation_missing"),
    ],
)
def test_a_model_that_the_images_do_not_fit_is_found_before_the_zip_is_opened(
    preparation: Any, of: Any, code: str
) -> None:
    assert refusal(Path("not-there.zip"), preparation, of).code == code


@pytest.mark.parametrize(
    "content", [b"\x80\x04K\x01.", encoded(noise(64, 64), "JPEG")[:900], encoded(noise(9, 9), "GIF")]
)
def test_an_image_that_is_none_is_refused_with_its_name(zip_of: Any, content: bytes) -> None:
    problem = refusal(zip_of(pictures(5) | {"cat.png": content}))
    assert problem.code == "image_invalid"
    assert problem.errors[0].entry == "cat.png"


def test_an_image_of_too_many_bytes_is_refused(zip_of: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(images_archive, "MAX_IMAGE_BYTES", 2000)
    problem = refusal(zip_of({"a.png": encoded(noise(10, 10)), "b.png": encoded(noise(40, 40))}))
    assert problem.code == "archive_bomb"
    assert problem.errors[0].entry == "b.png"


def test_too_many_entries_are_refused(zip_of: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(images_archive, "MAX_ENTRIES", 9)
    assert refusal(zip_of(pictures(10))).code == "archive_too_many_entries"
    assert open_images(zip_of(pictures(9)), SMALL, ANY).num_samples == 9


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ({"notes.txt": "no images"}, "calibration_empty"),
        ({"../1.png": b""}, "archive_path_traversal"),
        ({"1.png": b"", "labels.csv": "file\n"}, "labels_invalid"),
        ({"a/1.png": b"", "2.png": b""}, "labels_invalid"),
    ],
)
def test_a_zip_that_is_wrong_is_refused_before_any_image(zip_of: Any, files: Any, code: str) -> None:
    assert refusal(zip_of(files)).code == code


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"\x89PNG"])
def test_a_file_that_is_no_zip_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "images.zip").write_bytes(content)
    assert refusal(tmp_path / "images.zip").code in {"archive_corrupt", "archive_unsupported"}


# memory

READ_ALL = """
import resource, sys
from pathlib import Path
from app.contracts.inspection import ModelInspection, TensorSpec
from app.contracts.preparation import ImagePreparation
from workers.ingestion.data.images import open_images
spec = TensorSpec(name="x", dtype="float32", shape=("n", 3, 224, 224))
model = ModelInspection(inputs=(spec,), outputs=(), opset=17, ir_version=8, producer="", op_counts={}, parameters=0,
                        already_quantized=False)
samples = open_images(Path(sys.argv[1]), ImagePreparation(height=224, width=224), model)
peaks = []
for batch in samples.batches(4):
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
print(len(peaks), (peaks[-1] - peaks[3]) // 1024)
"""


def test_memory_holds_a_batch_however_many_images_there_are(zip_of: Any) -> None:
    photograph = encoded(Image.fromarray(photographs()[0]).resize((320, 240)), "JPEG")
    path = zip_of({f"{i:03}.jpg": photograph for i in range(240)})
    read = subprocess.run([sys.executable, "-c", READ_ALL, str(path)], capture_output=True, text=True, check=True)
    batches, growth_mib = map(int, read.stdout.split())
    assert batches == 60
    assert growth_mib < 8  # all prepared images together take 138 MiB

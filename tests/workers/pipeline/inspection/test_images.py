"""What is said of a zip of images when it is uploaded."""

import hashlib
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from app.contracts.inspection import ColumnInspection
from app.contracts.preparation import ImagePreparation
from app.contracts.problem import ProblemFound
from tests.workers.ingestion.data.pictures import encoded, noise, zipped
from workers.pipeline.inspection import images as images_inspection
from workers.pipeline.inspection.images import inspect_images, spread
from workers.protocol.outcome import DatasetInspected
from workers.protocol.reporter import Reporter

LIMIT = 1 << 30
SQUARE = ImagePreparation(height=8, width=8)


@pytest.fixture
def inspect(tmp_path: Path, reporter: Reporter) -> Any:
    def call(files: Any, preparation: Any = None, limit: int = LIMIT) -> DatasetInspected:
        path = zipped(tmp_path / "images.zip", files)
        return inspect_images(path, preparation, max_unpacked_bytes=limit, reporter=reporter)

    return call


def codes(found: DatasetInspected) -> set[str]:
    return {w.code for w in found.warnings}


def images(count: int, *, folder: str = "", width: int = 16, height: int = 16) -> dict[str, bytes]:
    return {f"{folder}{i:03}.png": encoded(noise(width, height, i)) for i in range(count)}


def test_a_zip_is_described_with_the_sizes_of_its_images(inspect: Any) -> None:
    found = inspect({"a.png": encoded(noise(10, 40)), "b.jpg": encoded(noise(20, 31), "JPEG")}).inspection
    assert (found.format, found.num_samples, found.has_labels, found.preparation) == ("images", 2, False, None)
    assert found.columns == (
        ColumnInspection(name="image", dtype="image", shape=(2,), min=None, max=None, mean=None),
        ColumnInspection(name="width", dtype="int64", shape=(2,), min=10, max=20, mean=15),
        ColumnInspection(name="height", dtype="int64", shape=(2,), min=31, max=40, mean=35.5),
    )


def test_labels_are_a_column_of_indices_and_the_preview_shows_them_as_given(inspect: Any) -> None:
    files = images(2, folder="dog/") | images(2, folder="cat/") | images(1, folder="emu/")
    found = inspect(files).inspection
    assert found.has_labels
    labels = found.columns[-1]
    assert (labels.name, labels.dtype, labels.shape) == ("labels", "int64", (5,))
    assert (labels.min, labels.max, labels.mean) == (0, 2, 0.8)  # cat, cat, dog, dog, emu: 0 + 0 + 1 + 1 + 2
    assert found.preview == (
        {"file": "cat/000.png", "width": 16, "height": 16, "label": "cat"},
        {"file": "cat/001.png", "width": 16, "height": 16, "label": "cat"},
        {"file": "dog/000.png", "width": 16, "height": 16, "label": "dog"},
    )


def test_the_declared_preparation_is_shown_back_and_its_classes_hold(inspect: Any) -> None:
    preparation = ImagePreparation(height=8, width=8, classes=("emu", "dog", "cat"))
    found = inspect(images(1, folder="dog/") | images(1, folder="cat/"), preparation).inspection
    assert found.preparation == preparation
    assert (found.columns[-1].min, found.columns[-1].max) == (1, 2)


def test_sizes_are_those_of_the_upright_image(inspect: Any) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    found = inspect({f"{kind}.img.{kind}": encoded(noise(30, 20), kind, exif=exif) for kind in ("jpeg", "png", "webp")})
    assert [(p["width"], p["height"]) for p in found.inspection.preview] == [(20, 30)] * 3


def test_the_digest_is_of_the_first_images_whatever_their_names(inspect: Any) -> None:
    files = images(70)
    digest = inspect(files).inspection.sample_digest
    first = b"".join(hashlib.sha256(files[name]).digest() for name in sorted(files)[:64])
    assert digest == hashlib.sha256(first).hexdigest()
    renamed = {f"x/{name}": data for name, data in files.items()}
    assert inspect(renamed).inspection.sample_digest == digest
    assert inspect(files | {"000.png": files["001.png"]}).inspection.sample_digest != digest


def test_progress_counts_the_images(inspect: Any, events: Any) -> None:
    inspect(images(3))
    progress = [e for e in events() if e["event"] == "progress"]
    assert progress[-1] == {"event": "progress", "completed": 3, "total": 3, "unit": "images"}


def test_a_large_set_is_decoded_in_a_spread(inspect: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(images_inspection, "_DECODED", 4)
    files = images(10)
    cut = {name: data if i in {0, 3, 6, 9} else data[:-100] for i, (name, data) in enumerate(files.items())}
    assert inspect(cut).inspection.num_samples == 10
    with pytest.raises(ProblemFound, match=r"image_invalid"):
        inspect(cut | {"006.png": files["006.png"][:-100]})


@pytest.mark.parametrize(("count", "most"), [(1, 256), (256, 256), (257, 256), (100_000, 256)])
def test_a_spread_holds_the_first_and_the_last(count: int, most: int) -> None:
    positions = sorted(spread(count, most))
    gaps = {b - a for a, b in pairwise(positions)}
    assert len(positions) == min(count, most)
    assert (positions[0], positions[-1]) == (0, count - 1)
    assert max(gaps, default=0) - min(gaps, default=0) <= 1


# warnings


def test_an_ordinary_set_needs_no_warning(inspect: Any) -> None:
    assert codes(inspect(images(20, folder="a/") | images(20, folder="b/"), SQUARE)) == set()


@pytest.mark.parametrize(("count", "found"), [(31, {"few_samples"}), (32, set())])
def test_few_images_are_worth_a_warning(inspect: Any, count: int, found: set[str]) -> None:
    assert codes(inspect(images(count))) == found


def test_entries_that_were_left_out_are_counted(inspect: Any) -> None:
    found = inspect(images(40) | {"README.md": "x", ".hidden/1.png": b"x", "__MACOSX/._1.png": b"x"})
    (warning,) = found.warnings
    assert warning.code == "ignored_entries"
    assert warning.detail.startswith("2 entries")
    assert warning.detail.endswith("the first is .hidden/1.png.")


def test_a_single_class_is_worth_a_warning(inspect: Any) -> None:
    labels = "file,label\n" + "".join(f"{i:03}.png,3\n" for i in range(40))
    assert codes(inspect(images(40) | {"labels.csv": labels})) == {"single_class"}


def test_numbered_folders_are_worth_a_warning_unless_the_order_is_declared(inspect: Any) -> None:
    files = images(20, folder="1/") | images(20, folder="2/")
    assert codes(inspect(files, ImagePreparation(height=8, width=8, classes=("1", "2")))) == set()
    assert codes(inspect(files, SQUARE)) == {"numbered_classes"}


def test_stretching_images_of_different_proportions_is_worth_a_warning(inspect: Any) -> None:
    files = images(39) | {"wide.png": encoded(noise(50, 30))}
    assert codes(inspect(files, SQUARE)) == set()
    stretched = ImagePreparation(height=8, width=8, resize="stretch")
    found = inspect(files, stretched)
    assert codes(found) == {"mixed_proportions"}
    assert "1.00 to 1.67" in found.warnings[0].detail


def test_images_that_are_enlarged_are_counted(inspect: Any) -> None:
    found = inspect(images(39) | {"wide.png": encoded(noise(90, 7))}, SQUARE)
    assert codes(found) == {"enlarged_images"}
    assert found.warnings[0].detail.startswith("1 of 40 images")


# refusals


@pytest.mark.parametrize(
    ("files", "code", "entry"),
    [
        ({"x/1.png": b"no image"}, "image_invalid", "x/1.png"),
        ({"1.png": encoded(noise(16, 16))[:-30]}, "image_invalid", "1.png"),
        ({"1.png": encoded(noise(1, 9000))}, "image_invalid", "1.png"),  # 100 x 900,000 before the crop
        ({"cow/1.png": encoded(noise(16, 16)), "cat/1.png": encoded(noise(16, 16))}, "labels_invalid", "cow/1.png"),
        ({"notes.txt": "nothing"}, "calibration_empty", None),
    ],
)
def test_what_a_job_would_trip_over_is_refused_with_its_name(inspect: Any, files: Any, code: str, entry: Any) -> None:
    with pytest.raises(ProblemFound) as found:
        inspect(files, ImagePreparation(height=100, width=100, classes=("cat", "dog")))
    assert found.value.problem.code == code
    assert [e.entry for e in found.value.problem.errors] == ([] if entry is None else [entry])


def test_more_than_the_limit_is_refused(inspect: Any) -> None:
    files = images(4)
    total = sum(map(len, files.values()))
    assert inspect(files, limit=total).inspection.num_samples == 4
    with pytest.raises(ProblemFound, match=f"calibration_too_large: The files take {total} bytes"):
        inspect(files, limit=total - 1)

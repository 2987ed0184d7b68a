import json
from pathlib import Path
from typing import Any

import pytest
import typer
from lowbit.command.preparation import ImageOptions, TextOptions, declared
from lowbit.command.preparation_options import Channels, Figures, Layout, Resize, Size, figures_of, size_of
from pydantic import TypeAdapter

from app.contracts.preparation import Preparation

SIZE = Size(224, 192)


@pytest.fixture(autouse=True)
def _files_to_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.jsonl", "a.csv", "a.parquet", "a.zip", "a.npz"):
        (tmp_path / name).touch()
    (tmp_path / "pets").mkdir()


def text(*sources: str, file: Path | None = None, **options: Any) -> Any:
    return declared(TextOptions(**options), ImageOptions(), file, sources or ["a.jsonl"])


def images(*sources: str, file: Path | None = None, **options: Any) -> Any:
    return declared(TextOptions(), ImageOptions(**options), file, sources or ["pets"])


def test_what_is_not_said_is_not_sent() -> None:
    assert text() is None
    assert text(text="review") == {"kind": "text", "text": "review"}
    assert images(size=SIZE) == {"kind": "image", "height": 224, "width": 192}


def test_every_option_has_its_field_in_the_contract() -> None:
    told = text(text="q", text_pair="a", label="y", max_length=64)
    assert told == {"kind": "text", "text": "q", "text_pair": "a", "label": "y", "max_length": 64}
    figures = Figures((0.5, 0.25, 0.125))
    shown = images(
        size=SIZE,
        resize=Resize.CONTAIN,
        mean=figures,
        std=Figures((2.0,)),
        layout=Layout.NHWC,
        channels=Channels.BGR,
    )
    assert json.loads(json.dumps(shown)) == {
        "kind": "image",
        "height": 224,
        "width": 192,
        "resize": "contain",
        "mean": [0.5, 0.25, 0.125],
        "std": [2.0],
        "layout": "NHWC",
        "channels": "BGR",
    }
    for preparation in (told, shown):
        TypeAdapter(Preparation).validate_json(json.dumps(preparation))


def test_a_label_alone_means_the_usual_column_of_text() -> None:
    assert text(label="stars") == {"kind": "text", "label": "stars"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resize": Resize.COVER}, "--image-resize needs --image-size HxW"),
        ({"mean": Figures((0.0,))}, "--image-mean needs --image-size"),
        ({"size": SIZE, "std": Figures((1.0, 0.0, 1.0))}, "--image-std must be above 0"),
        ({"size": SIZE, "mean": Figures((1.0, 1.0, 1.0)), "channels": Channels.L}, "--image-mean has 3 numbers"),
    ],
)
def test_options_that_need_or_contradict_each_other_are_mistakes(options: dict[str, Any], message: str) -> None:
    with pytest.raises(typer.BadParameter, match=message):
        images(**options)


def test_data_is_text_or_images() -> None:
    with pytest.raises(typer.BadParameter, match="--max-length, --image-size: data is text or images, not both"):
        declared(TextOptions(max_length=8), ImageOptions(size=SIZE), None, ["a.jsonl"])


@pytest.mark.parametrize("source", ["a.jsonl", "a.csv", "a.parquet", "A.CSV"])
def test_text_is_in_tables(source: str, tmp_path: Path) -> None:
    (tmp_path / source).touch()
    assert text("ds_1", source, label="y") is not None


@pytest.mark.parametrize("source", ["a.npz", "a.zip", "pets"])
def test_text_is_in_nothing_else(source: str) -> None:
    with pytest.raises(typer.BadParameter, match=f"'{source}' is no text"):
        text("a.jsonl", source, label="y")


def test_images_are_in_folders_and_zips() -> None:
    assert images("pets", "a.zip", "ds_1", size=SIZE) is not None
    for source in ("a.npz", "a.csv"):
        with pytest.raises(typer.BadParameter, match=f"'{source}' holds no images"):
            images(source, size=SIZE)


def test_data_that_was_uploaded_before_is_declared_already() -> None:
    with pytest.raises(typer.BadParameter, match="declared when data is uploaded"):
        text("ds_1", "ds_2", label="y")


def test_a_file_says_everything(tmp_path: Path) -> None:
    path = tmp_path / "preparation.json"
    path.write_text('{"kind": "image", "height": 8, "width": 8, "interpolation": "nearest"}')
    assert images("pets", file=path) == {"kind": "image", "height": 8, "width": 8, "interpolation": "nearest"}
    with pytest.raises(typer.BadParameter, match="--text-pair beside it contradicts it"):
        text("a.csv", file=path, text_pair="b")
    with pytest.raises(typer.BadParameter, match=r"'a\.csv' holds no images"):
        images("a.csv", file=path)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"kind": "audio"}', "null", "\ufeff{}", '{"scale": NaN}', '{"kind": ["text"]}']
)
def test_a_file_that_is_no_preparation_is_a_mistake(tmp_path: Path, content: str) -> None:
    path = tmp_path / "preparation.json"
    path.write_text(content)
    with pytest.raises(typer.BadParameter, match=r"preparation\.json is (not JSON|no preparation)"):
        text(file=path)


def test_a_file_of_other_bytes_is_a_mistake(tmp_path: Path) -> None:
    path = tmp_path / "preparation.json"
    path.write_bytes(b"\xff\xfe{")
    with pytest.raises(typer.BadParameter, match="is not JSON"):
        text(file=path)


def test_sizes_and_figures_are_read_as_people_write_them() -> None:
    assert size_of("224x192") == SIZE
    assert figures_of("0.485, 0.456,0.406") == Figures((0.485, 0.456, 0.406))
    assert figures_of("-127.5") == Figures((-127.5,))


@pytest.mark.parametrize("wrong", ["224", "224x", "0x8", "-1x8", "8x8x3", "8.5x8", "²x2", "axb", ""])
def test_a_size_has_two_whole_numbers(wrong: str) -> None:
    with pytest.raises(typer.BadParameter, match="HEIGHTxWIDTH"):
        size_of(wrong)


@pytest.mark.parametrize("wrong", ["", "1,2", "1,2,3,4", "nan", "1,inf,1", "a,b,c", "1;2;3"])
def test_figures_are_one_or_three(wrong: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"0\.485,0\.456,0\.406"):
        figures_of(wrong)

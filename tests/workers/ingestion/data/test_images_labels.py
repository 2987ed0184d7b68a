"""Which class an image belongs to, and every way in which a zip can leave that open."""

import json
from typing import Any

import pytest

from app.contracts.problem import ProblemFound
from workers.ingestion.data.images_label_file import Label, read_labels
from workers.ingestion.data.images_labels import Classes, class_indices, labels_of, numbered_unlike_sorted
from workers.ingestion.data.images_listing import listed


def labels(names: list[str], rows: Any = None, declared: Any = None) -> tuple[Label, ...] | None:
    return labels_of(listed(names), rows, declared)


def indices(given: list[Label], declared: Any = None, of_model: Any = None) -> tuple[int, ...]:
    return class_indices(given, [f"{i}.png" for i in range(len(given))], Classes(declared, of_model))


def refusal(call: Any, *args: Any, **kwargs: Any) -> Any:
    with pytest.raises(ProblemFound) as found:
        call(*args, **kwargs)
    return found.value.problem


# what is in the zip


def test_images_are_ordered_by_code_point_whatever_their_order_in_the_zip() -> None:
    found = listed(["b/2.png", "b/10.jpeg", "a/Z.BMP", "a/é.webp", "a/a.JPG"])
    assert found.images == ("a/Z.BMP", "a/a.JPG", "a/é.webp", "b/10.jpeg", "b/2.png")


def test_what_is_neither_image_nor_label_is_ignored_and_counted() -> None:
    found = listed(["1.png", "README.md", ".thumbnails/1.png", "Thumbs.db", "a/.2.png", "labels.csv.bak"])
    assert found.images == ("1.png",)
    assert found.ignored == (".thumbnails/1.png", "README.md", "Thumbs.db", "a/.2.png", "labels.csv.bak")


def test_a_zip_without_images_is_empty() -> None:
    problem = refusal(listed, ["data.csv", "labels.csv"])
    assert problem.code == "calibration_empty"
    assert ".webp" in problem.hint


# folders


@pytest.mark.parametrize("top", ["", "photos/", "a/b/"])
def test_folders_are_classes_below_whatever_was_packed(top: str) -> None:
    assert labels([f"{top}cat/1.png", f"{top}cat/more/2.png", f"{top}dog/1.png"]) == ("cat", "cat", "dog")


@pytest.mark.parametrize("names", [["1.png", "2.png"], ["photos/1.png", "photos/2.png"], ["a/b/1.png"]])
def test_images_in_one_folder_have_no_labels(names: list[str]) -> None:
    assert labels(names) is None


def test_a_single_folder_is_a_class_when_it_is_declared() -> None:
    assert labels(["x/cat/1.png", "x/cat/2.png"], declared=("cat", "dog")) == ("cat", "cat")


def test_folders_whose_names_begin_alike_are_different_folders() -> None:
    assert labels(["cat/1.png", "cat-big/1.png"]) == ("cat-big", "cat")


def test_an_image_beside_the_folders_of_others_is_refused() -> None:
    problem = refusal(labels, ["cat/1.png", "stray.png"])
    assert problem.code == "labels_invalid"
    assert problem.errors[0].entry == "stray.png"


def test_numbers_of_ten_digits_are_names() -> None:
    assert indices(["123456789", "1"]) == (123456789, 1)
    assert indices(["1234567890", "1"]) == (1, 0)


# files of labels


@pytest.mark.parametrize(
    "text", ["file,label\r\na.png,0\r\nd/b.png,1\r\n", "\ufefflabel,note,file\n0,x,a.png\n1,,d/b.png"]
)
def test_a_csv_names_files_and_labels(text: str) -> None:
    assert read_labels(text.encode(), "labels.csv") == {"a.png": "0", "d/b.png": "1"}


def test_json_lines_name_files_and_labels() -> None:
    rows = [{"file": "./a\u2028.png", "label": 1, "more": [1]}, {"label": "cat", "file": "b.png"}]
    text = "\n\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\r\n"
    assert read_labels(text.encode(), "labels.jsonl") == {"a\u2028.png": 1, "b.png": "cat"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "Line 1: The header"),
        ("a.png,0\n", "Line 1: The header"),
        ("file,file,label\na,b,0\n", "Line 1: The header"),
        ("file,label\na.png,0\nb.png\n", "Line 3: It has 1 fields"),
        ("file,label\na.png,0\na.png,1\n", "Line 3: a.png has a label already"),
        ("file,label\na.png,\n", "Line 2: label: "),
        ('file,label\n"a.png,0\n', "Line 2: It cannot be read: "),
        ("file,label\n" + "x" * 200_000 + ",0\n", "Line 2: It cannot be read: "),
    ],
)
def test_a_csv_that_is_not_one_is_refused_with_its_line(text: str, expected: str) -> None:
    problem = refusal(read_labels, text.encode(), "labels.csv")
    assert problem.code == "labels_invalid"
    assert problem.detail.startswith(expected)
    assert problem.errors[0].entry == "labels.csv"


@pytest.mark.parametrize(
    "line",
    ["{", "[]", "3", '{"file": "a"}', '{"file": "a", "label": 1.5}', '{"file": "a", "label": true}', "NaN",
     '{"file": "a", "label": null}', '{"file": 1, "label": 1}', '{"file": "", "label": 1}', "[" * 100_000,
     '{"file": "a", "file": "b", "label": 1}', r'{"file": "\ud800", "label": 1}',
     '{"file": "a", "label": ' + "9" * 5000 + "}"],
)  # fmt: skip
def test_a_json_line_that_is_not_a_label_is_refused_with_its_line(line: str) -> None:
    problem = refusal(read_labels, b'{"file": "z.png", "label": 0}\n' + line.encode(), "labels.jsonl")
    assert problem.code == "labels_invalid"
    assert problem.detail.startswith("Line 2: ")
    assert len(problem.detail) < 400


def test_labels_are_utf_8() -> None:
    problem = refusal(read_labels, "file,label\nä.png,0\n".encode("utf-16"), "labels.csv")
    assert (problem.code, problem.detail) == ("labels_invalid", "The file of labels is not UTF-8.")


@pytest.mark.parametrize("top", ["", "photos/", "a/b/"])
def test_files_are_named_from_the_folder_of_the_label_file(top: str) -> None:
    names = [f"{top}x/1.png", f"{top}y/2.png", f"{top}labels.csv"]
    assert labels(names, {"y/2.png": "5", "x/1.png": "3"}) == ("3", "5")


def test_a_label_file_may_lie_above_the_folder_of_the_images() -> None:
    assert labels(["images/1.png", "images/2.png", "labels.csv"], {"images/1.png": 1, "images/2.png": 0}) == (1, 0)


def test_a_label_file_among_the_images_of_one_class_is_none_of_ours() -> None:
    found = listed(["cat/1.png", "cat/labels.csv", "dog/1.png"])
    assert found.label_file is None
    assert found.ignored == ("cat/labels.csv",)


def test_two_label_files_are_one_too_many() -> None:
    assert refusal(listed, ["1.png", "labels.csv", "labels.jsonl"]).code == "labels_invalid"


def test_an_image_without_a_line_is_refused() -> None:
    problem = refusal(labels, ["1.png", "2.png", "3.png", "labels.csv"], {"1.png": 0})
    assert problem.code == "labels_length_mismatch"
    assert problem.detail.startswith("2 of 3 images")
    assert problem.errors[0].entry == "2.png"


@pytest.mark.parametrize("file", ["2.png", "../1.png", "1.PNG"])
def test_a_line_without_an_image_is_refused(file: str) -> None:
    problem = refusal(labels, ["1.png", "labels.csv"], {"1.png": 0, file: 1})
    assert problem.code == "labels_length_mismatch"
    assert problem.errors[0].entry == file


# indices


def test_the_declared_order_comes_first() -> None:
    assert indices(["cat", "dog", "ant"], ("dog", "ant", "cat"), ("cat", "dog", "ant")) == (2, 0, 1)


def test_then_the_models_own_order() -> None:
    assert indices(["cat", "dog", "cat"], None, ("emu", "dog", "cat")) == (2, 1, 2)


def test_else_names_are_sorted_by_code_point() -> None:
    assert indices(["b", "é", "Z", "b"], None, ("LABEL_0", "LABEL_1", "LABEL_2")) == (1, 2, 0, 1)


def test_numbers_are_indices_however_they_are_written() -> None:
    assert indices(["0", "10", "2"]) == indices([0, 10, 2]) == (0, 10, 2)
    assert indices(["007", "3"]) == (7, 3)


def test_numbers_that_are_names_of_classes_are_names() -> None:
    assert indices(["3", "7"], ("7", "3")) == (1, 0)
    assert indices(["3", "7"], None, ("1", "3", "5", "7")) == (1, 3)


@pytest.mark.parametrize("label", [-1, 3, 2**31, 10**100])
def test_an_index_beyond_the_classes_is_refused(label: int) -> None:
    problem = refusal(indices, [0, label], ("a", "b", "c"))
    assert problem.code == "labels_invalid"
    assert problem.errors[0].entry == "1.png"
    assert "3 classes" in problem.detail


@pytest.mark.parametrize("label", [-1, 2**31, 10**100])
def test_without_classes_an_index_is_still_a_small_number(label: int) -> None:
    assert refusal(indices, [0, label]).code == "labels_invalid"


def test_a_name_that_is_not_declared_is_refused() -> None:
    problem = refusal(indices, ["cat", "cow"], ("cat", "dog"))
    assert problem.code == "labels_invalid"
    assert "cow is not one of the preparation's" in problem.detail
    assert "cat, dog" in problem.hint


def test_names_of_which_the_model_knows_only_some_are_refused_since_sorting_would_shift_them() -> None:
    problem = refusal(indices, ["cat", "cow"], None, ("dog", "cat"))
    assert problem.code == "labels_invalid"
    assert "cow is not one of the model's classes" in problem.detail


def test_names_and_integers_do_not_mix() -> None:
    problem = refusal(indices, [1, "cat"])
    assert problem.code == "labels_invalid"
    assert problem.errors[0].entry == "1.png"


def test_a_class_declared_twice_has_no_place() -> None:
    assert refusal(indices, ["cat"], ("cat", "dog", "cat")).code == "preparation_invalid"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([str(i) for i in range(10)], False),
        ([str(i) for i in range(11)], True),  # sorted: 0, 1, 10, 2
        (["1", "2"], True),  # sorted: the first is 0
        (["00", "01", "10"], True),
        (["00", "01", "02"], False),
        (["cat", "dog"], False),
        (["0", "cat"], False),
        ([5, 6], False),  # integers of a label file are no names
    ],
)
def test_numbers_that_sorting_would_count_differently_are_noticed(given: Any, expected: bool) -> None:
    assert numbered_unlike_sorted(given) is expected

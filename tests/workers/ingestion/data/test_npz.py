import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib import format as npy

from app.contracts.problem import ProblemFound
from tests.fuzz.npz import one_input
from workers.ingestion.data.npz import open_archive


def member(array: Any) -> bytes:
    buffer = io.BytesIO()
    npy.write_array(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def header(
    descr: str = "'<f4'", shape: Any = "(4,)", order: str = "False", version: Any = (1, 0), text: str | None = None
) -> bytes:
    body = (text or f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}").encode() + b"\n"
    size = struct.pack("<H" if version == (1, 0) else "<I", len(body))
    return b"\x93NUMPY" + bytes(version) + size + body


def archive(tmp_path: Path, compression: int = zipfile.ZIP_STORED, **members: Any) -> Path:
    path = tmp_path / "hostile.npz"
    with zipfile.ZipFile(path, "w", compression) as out:
        for name, data in members.items():
            out.writestr(name if "." in name else f"{name}.npy", data)
    return path


def refused(path: Path, **options: Any) -> str:
    """The code of the problem that reading everything ends in."""
    with pytest.raises(ProblemFound) as found:
        read_everything(path, **options)
    assert len(found.value.problem.model_dump_json()) < 4000
    return found.value.problem.code


def read_everything(path: Path, **options: Any) -> None:
    opened = open_archive(path, **options)
    for _ in opened.pieces(chunk_bytes=1 << 16):
        pass


GOOD = member(np.arange(4, dtype=np.float32))


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.int64, np.uint8, np.bool_, ">f4", ">i2"])
def test_rows_of_all_columns_arrive_in_lock_step(tmp_path: Path, save: Any, dtype: Any) -> None:
    a, b = np.arange(70).reshape(10, 7).astype(dtype), np.arange(10)
    save(tmp_path / "d.npz", a=a, b=b)
    opened = open_archive(tmp_path / "d.npz")
    batches = list(opened.batches(4))
    assert [len(x["b"]) for x in batches] == [4, 4, 2]
    np.testing.assert_array_equal(np.concatenate([x["a"] for x in batches]), a)
    np.testing.assert_array_equal(np.concatenate([x["b"] for x in batches]), b)
    assert batches[0]["a"].dtype == np.dtype(dtype).newbyteorder("=")


def renamed(tmp_path: Path, name: bytes) -> Path:
    """An archive whose only entry has this name of 10 bytes: the zip writer itself would refuse or cut it."""
    path = tmp_path / "renamed.npz"
    with zipfile.ZipFile(path, "w") as out:
        out.writestr("_\u20acxx.npy", GOOD)  # not ASCII, so that the names are marked as UTF-8
    path.write_bytes(path.read_bytes().replace("_\u20acxx.npy".encode(), name))
    return path


@pytest.mark.parametrize("name", [b"a\0bcde.npy", b"a\nbcde.npy", b"a\xe2\x80\xaebc.npy", b"\0abcde.npy"])
def test_names_that_no_report_can_repeat_are_refused(tmp_path: Path, name: bytes) -> None:
    with pytest.raises(ProblemFound) as found:
        open_archive(renamed(tmp_path, name))
    assert found.value.problem.code == "npz_invalid"
    assert "\\u0000" not in found.value.problem.model_dump_json()


def test_a_lone_surrogate_is_no_name(tmp_path: Path) -> None:
    # ED A0 80 is how U+D800 would be spelled if UTF-8 allowed it
    with pytest.raises(ProblemFound) as found:
        open_archive(renamed(tmp_path, b"a\xed\xa0\x80bc.npy"))
    assert found.value.problem.code == "npz_invalid"


def test_a_limit_and_a_choice_of_columns_are_honoured(npz: Any) -> None:
    opened = open_archive(npz(a=np.arange(10), b=np.arange(10)))
    batches = list(opened.batches(4, names=("a",), limit=6))
    assert [list(x["a"]) for x in batches] == [[0, 1, 2, 3], [4, 5]]
    assert set(batches[0]) == {"a"}


@pytest.mark.parametrize(
    ("array", "code"),
    [
        (np.array([{}, 1], dtype=object), "npz_pickle_not_allowed"),
        (np.zeros(3, dtype=[("a", "f4"), ("b", "O")]), "npz_pickle_not_allowed"),
        (np.zeros(3, dtype=[("a", "f4")]), "calibration_dtype_mismatch"),
        (np.array(["a", "b"]), "calibration_dtype_mismatch"),
        (np.zeros(3, complex), "calibration_dtype_mismatch"),
        (np.zeros(3, np.longdouble), "calibration_dtype_mismatch"),
        (np.zeros(3, "datetime64[s]"), "calibration_dtype_mismatch"),
        (np.asfortranarray(np.zeros((3, 2))), "npz_fortran_order"),
        (np.float32(3.0), "calibration_shape_mismatch"),
        (np.zeros((0, 3), np.float32), "calibration_empty"),
        (np.zeros((3, 0), np.float32), "calibration_empty"),
    ],
)
def test_arrays_that_cannot_be_samples_are_refused_by_name(tmp_path: Path, array: Any, code: str) -> None:
    assert refused(archive(tmp_path, x=member(array))) == code


@pytest.mark.parametrize(
    ("beside", "left_out"),
    [
        ({"meta": np.arange(7)}, []),
        ({"bins": np.zeros((9, 2), np.float32)}, []),
        ({"weight": np.float64(3)}, ["calibration_shape_mismatch"]),
        ({"names": np.array(["a", "bb"])}, ["calibration_dtype_mismatch"]),
        ({"when": np.zeros(4, "datetime64[s]")}, ["calibration_dtype_mismatch"]),
        ({"settings": np.array([{"seed": 1}], dtype=object)}, ["npz_pickle_not_allowed"]),
        ({"turned": np.asfortranarray(np.zeros((4, 2)))}, ["npz_fortran_order"]),
        ({"nothing": np.zeros((0, 2))}, ["calibration_empty"]),
        (
            {"names": np.array(["a"]), "weight": np.float64(3)},
            ["calibration_dtype_mismatch", "calibration_shape_mismatch"],
        ),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_what_stands_beside_the_samples_is_left_alone(npz: Any, beside: Any, left_out: list[str], first: bool) -> None:
    x = np.arange(40, dtype=np.float32).reshape(4, 10)
    arrays = {**beside, "x": x, "labels": np.arange(4)} if first else {"x": x, "labels": np.arange(4), **beside}
    opened = open_archive(npz(**arrays))
    assert opened.num_samples == 4
    assert [one.code for one in opened.left_out] == left_out
    (batch,) = opened.batches(9)
    np.testing.assert_array_equal(batch["x"], x)
    assert set(batch) == {"x", "labels"}


def test_without_labels_the_largest_arrays_say_how_many_samples_there_are(npz: Any) -> None:
    assert open_archive(npz(a=np.zeros(9), b=np.zeros(9), x=np.zeros((4, 50)))).num_samples == 4


def test_arrays_of_other_lengths_are_read_where_they_are_asked_for(npz: Any) -> None:
    opened = open_archive(npz(x=np.zeros((4, 50)), few=np.arange(3)))
    (batch,) = opened.only(["few"]).batches(9)
    assert batch["few"].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "labels", [np.array(["cat", "dog"]), np.array([b"cat", b"dog"]), np.array(["cat", None], dtype=object)]
)
def test_labels_that_are_names_are_told_how_to_be_numbers(npz: Any, labels: Any) -> None:
    with pytest.raises(ProblemFound) as found:
        open_archive(npz(x=np.zeros((2, 3)), labels=labels))
    problem = found.value.problem
    assert problem.code == "labels_invalid"
    assert "not integers" in problem.detail
    assert "classes.index(name)" in (problem.hint or "")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x93NUMPY",
        b"not an array at all",
        b"\x93NUMPY\x09\x00" + b"\0" * 50,
        header()[:-20],
        header(text="{'descr': '<f4'}"),
        header(text="__import__('os').system('true')"),
        header(text="(" * 5000),
        header(text="[" * 9000),
        header(text="{" + "1:1," * 2000 + "}"),
        header(shape="(-4,)") + b"\0" * 16,
        header(shape="('a',)"),
        header(shape="(4.5,)"),
        header(descr="'<q9'"),
        header(descr="None"),
        header(version=(2, 0))[:8] + struct.pack("<I", 0xFFFFFFFF) + b" " * 1000,
        header() + b"\0" * 15,
        header() + b"\0" * 17,
    ],
)
def test_damaged_members_are_refused(tmp_path: Path, data: Any) -> None:
    assert refused(archive(tmp_path, x=data)) in {"npz_invalid", "calibration_dtype_mismatch"}


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_all_three_header_versions_are_read(tmp_path: Path, version: Any) -> None:
    opened = open_archive(archive(tmp_path, x=header(version=version) + b"\0" * 16))
    assert opened.columns[0].shape == (4,)


def test_what_is_no_zip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"PK\x03\x04 and then nothing")
    assert refused(tmp_path / "x") == "npz_invalid"


def test_an_archive_behind_something_else_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path, x=GOOD)
    path.write_bytes(b"\x80\x04N." + path.read_bytes())
    assert zipfile.is_zipfile(path)
    assert refused(path) == "npz_invalid"


def test_a_truncated_archive_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path, x=GOOD)
    path.write_bytes(path.read_bytes()[:-30])
    assert refused(path) == "npz_invalid"


def test_a_flipped_bit_is_found(tmp_path: Path) -> None:
    path = archive(tmp_path, x=GOOD)
    data = bytearray(path.read_bytes())
    data[data.index(GOOD) + len(GOOD) - 3] ^= 1
    path.write_bytes(data)
    assert refused(path) == "npz_invalid"


def test_other_compressions_encryption_names_and_duplicates_are_refused(tmp_path: Path) -> None:
    assert refused(archive(tmp_path, zipfile.ZIP_BZIP2, x=GOOD)) == "archive_unsupported"
    assert refused(archive(tmp_path, **{"readme.txt": GOOD})) == "npz_invalid"
    assert refused(archive(tmp_path, **{".npy": GOOD})) == "npz_invalid"
    encrypted = archive(tmp_path, x=GOOD)
    data = bytearray(encrypted.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    encrypted.write_bytes(data)
    assert refused(encrypted) == "archive_unsupported"
    twice = tmp_path / "twice.npz"
    with zipfile.ZipFile(twice, "w") as out:
        out.writestr("x.npy", GOOD)
        with pytest.warns(UserWarning, match="Duplicate"):
            out.writestr("x.npy", GOOD)
    assert refused(twice) == "npz_invalid"


def test_an_archive_without_arrays_is_empty(tmp_path: Path) -> None:
    assert refused(archive(tmp_path)) == "calibration_empty"


def test_labels_of_no_array_are_refused(npz: Any) -> None:
    assert refused(npz(a=np.zeros(3), b=np.zeros(3), labels=np.zeros(4))) == "labels_length_mismatch"
    assert refused(npz(labels=np.zeros(4), a=np.zeros(3))) == "labels_length_mismatch"


def test_the_declared_size_is_limited_before_anything_is_unpacked(tmp_path: Path) -> None:
    path = archive(tmp_path, x=header(shape="(1000000, 1000000, 1000000)"))
    assert refused(path, max_unpacked_bytes=1 << 30) == "calibration_too_large"


def test_a_bomb_is_stopped_while_it_unpacks(tmp_path: Path) -> None:
    # 128 MiB of zeros deflate to about 130 KB: a thousand to one
    data = header(shape=f"({1 << 27},)", descr="'|u1'") + bytes(1 << 27)
    path = archive(tmp_path, zipfile.ZIP_DEFLATED, x=data)
    assert refused(path) == "archive_bomb"


def test_a_small_array_of_zeros_is_no_bomb(npz: Any, tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "z.npz", x=np.zeros((100, 1000), np.float32))
    assert open_archive(tmp_path / "z.npz").num_samples == 100


def test_declared_sizes_that_lie_do_not_help(tmp_path: Path) -> None:
    """A member that says it holds 4 bytes and inflates to more is cut at 4 by the reader, so its array is short."""
    path = archive(tmp_path, zipfile.ZIP_DEFLATED, x=header(shape="(1000,)") + bytes(4000))
    data = bytearray(path.read_bytes())
    central = data.index(b"PK\x01\x02")
    data[central + 24 : central + 28] = struct.pack("<I", 100)
    path.write_bytes(data)
    assert refused(path) == "npz_invalid"


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_damage_leads_to_anything_but_the_arrays_or_a_problem(
    tmp_path_factory: pytest.TempPathFactory, data: Any
) -> None:
    folder = tmp_path_factory.getbasetemp()
    path = archive(folder, zipfile.ZIP_DEFLATED, x=GOOD, labels=member(np.arange(4)))
    damaged = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    one_input(bytes(damaged[: data.draw(st.integers(1, len(damaged)))]))

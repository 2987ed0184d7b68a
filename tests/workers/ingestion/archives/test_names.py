import unicodedata

import pytest

from app.contracts.problem import ProblemFound
from workers.ingestion.archives import ArchiveLimits
from workers.ingestion.archives.names import is_litter, safe_name

LIMITS = ArchiveLimits()


def code_of(raw: str) -> str:
    with pytest.raises(ProblemFound) as found:
        safe_name(raw, LIMITS)
    problem = found.value.problem
    assert problem.errors[0].entry is not None
    return problem.code


@pytest.mark.parametrize(
    "raw",
    [
        "../evil",
        "a/../../evil",
        "..\\evil",
        "a\\..\\b",
        "a/..",
        "..",
        "a/../b",
        "/etc/x",
        "\\\\host\\x",
        "C:\\x",
        "c:x",
    ],
)
def test_names_that_lead_out_of_the_folder_are_traversal_on_every_system(raw: str) -> None:
    assert code_of(raw) == "archive_path_traversal"


@pytest.mark.parametrize(
    "raw",
    [
        "a\0b", "a\nb", "a\x7fb", "a\x85b", "a\u202eb.png", "a\u2066b", "a\u200bb", "\ufeffa", "a\u2028b",
        "CON", "con", "nul.txt", "a/Aux/b", "COM1.png", "lpt\u00b9", "CONIN$", "nul .txt", "PRN.tar.gz",
        "a.", "a ", "a./b", "a\u00a0", "a//b", "a/./b", "a/", "a\\b", "...", " ",
    ],
)  # fmt: skip
def test_names_that_some_system_reads_otherwise_are_bad(raw: str) -> None:
    assert code_of(raw) == "archive_bad_name"


@pytest.mark.parametrize(
    "name",
    [
        "model.onnx", "a/b/c.png", "Katze und Hündin.jpg", "猫.png", "котик/1.png", "صورة.png", "🐈.png", "a b (1).png",
        "Screenshot at 3.04.05\u202fPM.png", "می\u200cخواهم.png", "console.log", "nullable", "com10.txt", "...a", "-rf",
        "2024-01-01T10:00:00.png", ".hidden",
    ],
)  # fmt: skip
def test_what_people_call_their_files_is_kept(name: str) -> None:
    assert safe_name(name, LIMITS) == unicodedata.normalize("NFC", name)


def test_letters_in_two_parts_are_composed() -> None:
    assert safe_name("u\u0308ber.png", LIMITS) == "über.png"


@pytest.mark.parametrize(("raw", "name"), [("./a", "a"), ("././a/b", "a/b"), (".", ""), ("./", ""), ("", "")])
def test_the_folder_that_was_packed_is_no_part_of_a_name(raw: str, name: str) -> None:
    assert safe_name(raw, LIMITS) == name


def test_length_counts_bytes_after_composing() -> None:
    assert safe_name("ä" * 127, LIMITS)  # 254 bytes
    assert safe_name("a\u0308" * 127, LIMITS) == "ä" * 127  # 381 bytes until composed
    assert code_of("ä" * 128) == "archive_bad_name"
    assert code_of("\u0958" * 85) == "archive_bad_name"  # 255 bytes that composing takes apart: 6 bytes each


def test_depth_counts_the_folders_above_a_file() -> None:
    assert safe_name("a/" * 32 + "b", LIMITS)
    assert code_of("a/" * 33 + "b") == "archive_bad_name"


@pytest.mark.parametrize("raw", ["__MACOSX/._a", "__MACOSX/", "a/.DS_Store", "./._a", "a/._b", "__MACOSX/._Icon\r"])
def test_what_a_mac_adds_is_litter(raw: str) -> None:
    assert is_litter(raw)


@pytest.mark.parametrize("raw", ["a/__MACOSX", "_a", ".a", "DS_Store", "__MACOSX2/a", "._a/b"])
def test_what_looks_like_it_is_not(raw: str) -> None:
    assert not is_litter(raw)

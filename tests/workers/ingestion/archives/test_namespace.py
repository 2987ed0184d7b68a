from typing import Any

import pytest

from app.contracts.problem import ProblemFound
from workers.ingestion.archives import ArchiveLimits
from workers.ingestion.archives import namespace as namespace_module
from workers.ingestion.archives.namespace import Namespace


def code_of(*names: str, **limits: Any) -> str:
    """The code in which taking the last of the names ends; '/' at its end makes a folder of one."""
    namespace = Namespace(ArchiveLimits(**limits))
    *before, last = names
    for name in before:
        admit(namespace, name)
    with pytest.raises(ProblemFound) as found:
        admit(namespace, last)
    return found.value.problem.code


def admit(namespace: Namespace, name: str) -> str | None:
    return namespace.admit(name, "folder" if name.endswith("/") else "file")


@pytest.mark.parametrize(
    "names",
    [
        ("a", "a"),
        ("a.png", "A.PNG"),
        ("./a", "a"),
        ("\u00e9", "e\u0301"),
        ("straße", "STRASSE"),
        ("a/x", "a"),
        ("a", "a/x"),
        ("a/b", "A/c"),
        ("a/", "a"),
        ("a", "A/"),
        ("a/", "A/"),
        ("\u00e9/x", "E\u0301/y"),
        ("ﬁle", "file"),
        ("\u0345\u0301", "\u0301\u0345"),  # the same marks in another order
        ("\u1fb3\u0323", "\u03b1\u0323\u03b9"),  # an iota below alpha is a letter when folded, behind the other mark
    ],
)
def test_two_names_that_could_be_one_file_are_refused(names: tuple[str, ...]) -> None:
    assert code_of(*names) == "archive_duplicate_entry"


def test_a_folder_may_be_listed_before_and_after_its_files() -> None:
    namespace = Namespace(ArchiveLimits())
    names = ["a/", "a/b", "a/", "a/c/d", "a/c/", "./", "__MACOSX/a", "__MACOSX/a", ".DS_Store", "e"]
    assert [name for name in names if admit(namespace, name) is not None] == ["a/b", "a/c/d", "e"]


def test_a_folder_is_folded_once_however_many_files_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """100 files in 20 folders, one in the other: 120 names, and not 2,100."""
    folded: list[str] = []
    monkeypatch.setattr(namespace_module, "_folded", lambda name: folded.append(name) or name)
    namespace, path = Namespace(ArchiveLimits()), "/".join("folder" for _ in range(20))
    for number in range(100):
        admit(namespace, f"{path}/{number}")
    assert len(folded) == 120


def test_folders_count_as_entries_even_if_only_files_mention_them() -> None:
    assert code_of("a/b/c", "d/e", max_entries=4) == "archive_too_many_entries"


def test_a_file_needs_a_name() -> None:
    assert code_of(".") == "archive_bad_name"


def test_litter_may_not_escape_either() -> None:
    assert code_of("__MACOSX/../../evil") == "archive_path_traversal"

"""Every input of the corpus, through its target: seeds that take the usual paths, and what fuzzing once found."""

import importlib
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
CORPUS = FOLDER.parent / "corpus"
TARGETS = sorted(
    path.stem for path in FOLDER.glob("*.py") if path.stem != "fuzzing" and not path.stem.startswith("test_")
)


@pytest.mark.parametrize("name", TARGETS)
def test_the_inputs_of_the_corpus_hold(name: str) -> None:
    target = importlib.import_module(f"tests.fuzz.{name}")
    inputs = sorted((CORPUS / name).iterdir())
    assert inputs, f"tests/corpus/{name} is empty"
    for path in inputs:
        try:
            target.one_input(path.read_bytes())
        except Exception as error:
            error.add_note(f"the input is {path}")
            raise


def test_every_folder_of_the_corpus_has_a_target() -> None:
    assert sorted(path.name for path in CORPUS.iterdir()) == TARGETS

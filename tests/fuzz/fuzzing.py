"""Runs a target by hand under atheris, which looks for inputs that take new paths through the code it watches."""

import importlib
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

CORPUS = Path(__file__).parent.parent / "corpus"


def fuzz(name: str, *, instrument: Sequence[str]) -> None:
    """Feed `tests.fuzz.<name>.one_input` until told to stop; the command line is libFuzzer's.

    `instrument` are the packages to watch. What is found stays in a temporary folder: a crash is copied to the corpus
    by hand, once it is understood.
    """
    import atheris

    _forget(instrument)
    with atheris.instrument_imports(include=list(instrument)):
        target = importlib.import_module(f"tests.fuzz.{name}")
    found = tempfile.mkdtemp(prefix=f"fuzz-{name}-")
    print(f"New inputs and crashes go to {found}.")  # noqa: T201 - the program's own voice
    options = [sys.argv[0], f"-artifact_prefix={found}/", *sys.argv[1:]]
    if all(option.startswith("-") for option in options[1:]):  # with a file, only that is tried
        options += [found, str(CORPUS / name)]
    atheris.Setup(options, target.one_input)
    atheris.Fuzz()


def _forget(packages: Sequence[str]) -> None:
    """What the target's own file imported was not watched: it is imported again."""
    for module in list(sys.modules):
        if any(module == package or module.startswith(f"{package}.") for package in packages):
            del sys.modules[module]

"""The table in docs/reliability.md names tests that exist, and every test of the fault list is in it."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
LINES = [line for line in (ROOT / "docs" / "reliability.md").read_text().splitlines() if re.match(r"\| F\d\d ", line)]


def _tests_in(path: Path) -> list[str]:
    return re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)


def _named_in(line: str) -> list[tuple[Path, str]]:
    """The file and the name, or pattern, of each test in a line: `file` `test`, where `file` may hold for several."""
    found = []
    for file, name in re.findall(r"`([\w/]+\.py)`(?: `(test_\w+\*?)`)?", line):
        path = ROOT / file if "/" in file else Path(__file__).parent / file
        found.append((path, name))
    return found


def test_every_named_test_exists() -> None:
    assert LINES
    for line in LINES:
        named = _named_in(line)
        assert named, line
        for path, name in named:
            tests = _tests_in(path)
            assert any(test.startswith(name[:-1]) if name.endswith("*") else test == name for test in tests) or not name


def test_every_fault_test_is_named() -> None:
    listed = {line[2:5].lower() for line in LINES}
    for file in ("test_faults.py", "test_worker_faults.py"):
        numbers = {
            name.split("_")[1] for name in _tests_in(Path(__file__).with_name(file)) if name.startswith("test_f")
        }
        assert numbers <= listed

"""Documentation that cannot drift: every setting, code, preset and operation has its line."""

import re
from fnmatch import fnmatch
from pathlib import Path
from typing import get_args

import pytest

from app.contracts.codes import CATALOGUE, ProblemCode
from app.contracts.recipes.presets import PRESETS
from app.contracts.recipes.recipe import RECIPES, readers_of
from app.contracts.status import Stage
from app.settings import Settings

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


def _read(name: str) -> str:
    return (DOCS / name).read_text()


def _pages() -> list[Path]:
    return [*ROOT.glob("*.md"), *DOCS.rglob("*.md"), ROOT / "client" / "README.md"]


def _folders(parent: Path) -> list[str]:
    """Without what tools leave behind (`__pycache__`, `.venv`)."""
    folders = [path for path in parent.iterdir() if path.is_dir() and path.name[0] not in "_."]
    return sorted(path.name for path in folders if any(child.name != "__pycache__" for child in path.iterdir()))


def test_every_setting_is_documented_and_nothing_else_is() -> None:
    documented = set(re.findall(r"^\| `(LOWBIT_\w+)`", _read("settings.md"), re.MULTILINE))
    assert documented == {f"LOWBIT_{name.upper()}" for name in Settings.model_fields}


def test_every_setting_of_the_deployment_files_exists() -> None:
    known = {f"LOWBIT_{name.upper()}" for name in Settings.model_fields}
    for path in [ROOT / "docker-compose.yml", *(ROOT / "docker").glob("*.Dockerfile")]:
        assert set(re.findall(r"^\s+(LOWBIT_\w+):", path.read_text(), re.MULTILINE)) <= known, path


def test_every_problem_code_is_documented_with_its_status() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (\d+) \|", _read("problems.md"), re.MULTILINE))
    assert rows == {code: str(known.status) for code, known in CATALOGUE.items()}
    assert set(get_args(ProblemCode)) == set(CATALOGUE)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_documented(name: str) -> None:
    assert f"| `{name}` |" in _read("recipes.md")


def test_every_stage_is_told_where_the_life_of_a_job_is() -> None:
    sentence = re.search(r"Stages inside `running` are (.+?);", _read("job-engine.md"), re.DOTALL)
    assert sentence
    assert re.findall(r"`(\w+)`", sentence[1]) == list(Stage)


def _folders_of_the_repository() -> list[str]:
    """The top ones and those of `workers/`, which has a table row for each, without what `.gitignore` names."""
    ignored = (ROOT / ".gitignore").read_text().split()
    top = [name for name in _folders(ROOT) if not any(fnmatch(f"{name}/", pattern) for pattern in ignored)]
    return [*top, *(f"workers/{name}" for name in _folders(ROOT / "workers"))]


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_every_folder_has_its_line_where_things_are(page: str) -> None:
    text = (ROOT / page).read_text()
    for folder in _folders_of_the_repository():
        assert f"`{folder}/`" in text, folder


def test_every_field_of_a_recipe_is_documented_with_the_methods_that_read_it() -> None:
    table = _read("recipes.md").partition("| field | read by |")[2].partition("\n\n")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", table, re.MULTILINE))
    readers = {name: readers_of(name) for kind in RECIPES.values() for name in kind.model_fields}
    assert rows == {
        name: "all" if set(methods) == set(RECIPES) else ", ".join(f"`{method}`" for method in methods)
        for name, methods in readers.items()
    }


def test_links_between_documents_lead_somewhere() -> None:
    for page in _pages():
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def test_links_to_a_heading_of_a_document_find_it() -> None:
    for page in _pages():
        for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#([^)]+)\)", page.read_text()):
            assert anchor in _anchors(page.parent / target if target else page), f"{page.name}: {target}#{anchor}"


def test_every_line_of_the_documents_that_waits_for_the_service_goes_on_until_it_is_over() -> None:
    """One wait ends after at most 60 seconds, and a queue may be longer."""
    for page in _pages():
        for line in re.findall(r"^.*(?:curl|ask) .*Prefer: wait.*$", page.read_text(), re.MULTILINE):
            assert "while " in line, f"{page.name}: {line}"


def test_every_room_of_the_numerics_has_its_page_or_is_told_in_one() -> None:
    told = "".join(page.read_text() for page in (DOCS / "numerics").glob("*.md"))
    for room in _folders(ROOT / "workers" / "quantization"):
        assert (DOCS / "numerics" / f"{room}.md").exists() or f"quantization/{room}/" in told, room


def test_decisions_are_numbered_without_gaps() -> None:
    numbers = sorted(int(path.name[:4]) for path in (DOCS / "decisions").glob("[0-9]*.md"))
    assert numbers == list(range(1, len(numbers) + 1))
    for path in (DOCS / "decisions").glob("[0-9]*.md"):
        for heading in ("## Context", "## Decision", "## Consequences", "## Alternatives"):
            assert heading in path.read_text(), path

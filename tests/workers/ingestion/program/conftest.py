"""Programs of torch.export, honest and not."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

Entries = dict[str, bytes]


class Classifier(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hidden = torch.nn.Linear(8, 16)
        self.head = torch.nn.Linear(16, 4)
        self.register_buffer("shift", torch.arange(4.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.softmax(self.head(torch.relu(self.hidden(x))) + self.shift, -1)


@pytest.fixture(scope="session")
def classifier() -> Classifier:
    torch.manual_seed(0)
    return Classifier().eval()


@pytest.fixture(scope="session")
def honest(classifier: Classifier) -> Entries:
    """The entries of an honest program, by their names below the root."""
    program = torch.export.export(
        classifier, (torch.randn(3, 8),), dynamic_shapes={"x": {0: torch.export.Dim("batch")}}
    )
    saved = io.BytesIO()
    torch.export.save(program, saved)
    with zipfile.ZipFile(saved) as archive:
        return {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}


@pytest.fixture
def packed(tmp_path: Path) -> Callable[[Entries], Path]:
    def write(entries: Entries) -> Path:
        path = tmp_path / "program.pt2"
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in entries.items():
                archive.writestr(f"package/{name}", content)
        return path

    return write


def edited(entries: Entries, name: str, edit: Callable[[Any], None]) -> Entries:
    """The entries with one JSON text changed."""
    found = next(n for n in entries if n.endswith(name))
    value = json.loads(entries[found])
    edit(value)
    return {**entries, found: json.dumps(value).encode()}

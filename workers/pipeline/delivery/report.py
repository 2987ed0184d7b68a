"""The files that a job delivers."""

from pathlib import Path
from typing import Literal

from app.contracts.result import OutputFile
from workers.pipeline.delivery.candidates import Candidate
from workers.quantization.graph.model_file import files_of

REPORT_FILE = "report.json"


def output_files(candidates: tuple[Candidate, ...]) -> tuple[OutputFile, ...]:
    """A form that only one runtime reads is never delivered without the portable one beside it."""
    models = [(path, c.key) for c in candidates for path in (c.path, c.portable) if path is not None]
    files = [_file(path, "model", key) for path, key in models]
    data = [_file(file, "model_data", key) for path, key in models for file in files_of(path) if file != path]
    return (*files, *data, OutputFile(path=REPORT_FILE, kind="report", media_type="application/json"))


def _file(path: Path, kind: Literal["model", "model_data"], key: str) -> OutputFile:
    return OutputFile(path=path.name, kind=kind, media_type="application/octet-stream", variant_key=key)

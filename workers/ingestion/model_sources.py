"""What kinds of files models come in, and the ONNX file that each of them leads to.

An ONNX file stands for itself. An archive holds one ONNX file with its external data, perhaps with a tokenizer, or a
transformers checkpoint, which is exported. A `.pt2` program is exported too, where the service allows it.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx

from app.contracts.problem import ProblemFound, quoted, refuse
from workers.ingestion.archives import ArchiveLimits, open_archive
from workers.ingestion.onnx_model.canonical import Canonical, ingest_onnx
from workers.protocol.canonical_files import MODEL_FILE, TOKENIZER_FACTS_FILE, TOKENIZER_FILE
from workers.protocol.reporter import Reporter
from workers.protocol.tasks import InspectModelTask

CHECKPOINT_FILE = "config.json"

_TOKENIZER_FILES = (TOKENIZER_FILE, TOKENIZER_FACTS_FILE)
_MOST_NAMES = 5


@dataclass(frozen=True)
class Ingested:
    """A canonical model in the output folder, and what is known of it beside its graph."""

    model: onnx.ModelProto
    files: tuple[str, ...]
    facts: dict[str, Any] = field(default_factory=dict)
    """Fields of `ModelInspection`."""


def ingest(task: InspectModelTask, scratch: Path, output: Path, reporter: Reporter) -> Ingested:
    """Write the canonical model into `output`. Raises ProblemFound."""
    path = scratch / task.model
    match task.format:
        case "onnx":
            canonical = ingest_onnx(path, output, reporter)
            return Ingested(canonical.model, canonical.files)
        case "archive":
            folder = _new_folder(scratch / "unpacked")
            with open_archive(path, ArchiveLimits(max_unpacked_bytes=task.max_unpacked_bytes)) as archive:
                archive.extract_all(folder)
            return _from_folder(folder, _new_folder(scratch / "exported"), output, reporter)
        case "torch_export":
            if not task.allow_torch_export:
                raise refuse("pt2_not_allowed", "This service does not take torch.export programs.")
            return _from_program(path, _new_folder(scratch / "exported"), task.max_unpacked_bytes, output, reporter)


def _from_folder(folder: Path, exported: Path, output: Path, reporter: Reporter) -> Ingested:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    models = [path for path in files if path.suffix.lower() == ".onnx"]
    if len(models) == 1:
        return _with_tokenizer(ingest_onnx(models[0], output, reporter, folder=models[0].parent), models[0], output)
    if models:
        raise _not_one_model(f"{len(models)} ONNX files", models, folder)
    checkpoint = _checkpoint_folder(folder)
    if checkpoint is None:
        raise _not_one_model("neither an ONNX file nor a config.json", files, folder)
    return _from_checkpoint(checkpoint, exported, output, reporter)


def _checkpoint_folder(folder: Path) -> Path | None:
    """At the top, or in the only folder there."""
    entries = list(folder.iterdir())
    candidates = [folder, *(entries if len(entries) == 1 and entries[0].is_dir() else [])]
    return next((c for c in candidates if (c / CHECKPOINT_FILE).is_file()), None)


def _with_tokenizer(canonical: Canonical, model: Path, output: Path) -> Ingested:
    if not model.with_name(TOKENIZER_FILE).is_file():
        return Ingested(canonical.model, canonical.files)
    # seconds of import that other models do not need
    from workers.ingestion.checkpoint.tokenizer import take_tokenizer  # noqa: PLC0415

    found = take_tokenizer(model.parent, output, positions=None, inputs=_inputs(canonical.model))
    files = (*canonical.files, *(name for name in _TOKENIZER_FILES if found is not None))
    return Ingested(canonical.model, files, {"tokenizer": found})


def _from_checkpoint(folder: Path, exported: Path, output: Path, reporter: Reporter) -> Ingested:
    from workers.ingestion.checkpoint.conversion import export_checkpoint  # noqa: PLC0415  # likewise

    found = export_checkpoint(folder, exported, reporter)
    canonical = ingest_onnx(exported / MODEL_FILE, output, reporter, folder=exported)
    files = tuple(name for name in found.files if name in _TOKENIZER_FILES)
    for name in files:
        (exported / name).replace(output / name)
    facts = {
        "format": "transformers",
        "task": found.task,
        "classes": found.classes,
        "tokenizer": found.tokenizer,
        "image_preparation": found.image_preparation,
    }
    return Ingested(canonical.model, (*canonical.files, *files), facts)


def _from_program(path: Path, exported: Path, max_unpacked_bytes: int, output: Path, reporter: Reporter) -> Ingested:
    from workers.ingestion.program.exporting import export_program  # noqa: PLC0415  # torch

    export_program(path, exported, reporter, max_unpacked_bytes=max_unpacked_bytes)
    canonical = ingest_onnx(exported / MODEL_FILE, output, reporter, folder=exported)
    return Ingested(canonical.model, canonical.files, {"format": "torch_export"})


def _inputs(model: onnx.ModelProto) -> tuple[str, ...]:
    constants = {t.name for t in model.graph.initializer}
    return tuple(v.name for v in model.graph.input if v.name not in constants)


def _new_folder(path: Path) -> Path:
    path.mkdir(mode=0o700)
    return path


def _not_one_model(what: str, found: list[Path], folder: Path) -> ProblemFound:
    names = [quoted(str(path.relative_to(folder)))[:80] for path in found[:_MOST_NAMES]]
    others = f" and {len(found) - _MOST_NAMES} more" if len(found) > _MOST_NAMES else ""
    listing = f": {', '.join(names)}{others}" if names else ""
    return refuse("model_archive_invalid", f"The archive holds {what}{listing}.")

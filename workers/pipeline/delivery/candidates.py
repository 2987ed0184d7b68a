"""The quantized models of one job: one for each set of ranges, and beside it the form that the runtime likes best."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

import onnx
import onnx_ir as ir

from app.contracts.result import LayerReport
from workers.pipeline.methods.method import Draft
from workers.protocol.tasks import QuantizeTask
from workers.quantization.graph.format_check import check_graph
from workers.quantization.graph.model_file import files_of, fits_one_file, save_model
from workers.quantization.graph.skeleton import without_weights
from workers.targets.stamp import STAMP_PREFIX, restamped, stamped


@dataclass(frozen=True)
class Candidate:
    """A model file in the output folder and how it came about."""

    key: str
    label: str
    method: str
    """What gave the ranges, or made the model without any."""
    dtype: str
    percentile: float | None
    path: Path
    layers: tuple[LayerReport, ...] = ()
    portable: Path | None = None
    """The same model in standard operators, where this one is not."""

    @property
    def size_bytes(self) -> int:
        return sum(file.stat().st_size for file in files_of(self.path))


@dataclass(frozen=True)
class Produced:
    """Candidates, and what ran the float model to calibrate them."""

    candidates: tuple[Candidate, ...]
    calibrated_by: str | None = None


def written(drafts: Sequence[Draft], task: QuantizeTask, folder: Path) -> tuple[Candidate, ...]:
    """Every draft as a file; one that is not portable has the file before it beside it."""
    found: list[Candidate] = []
    portable = None
    for draft in drafts:
        found.append(write_candidate(draft, task, folder, portable=None if draft.is_portable else portable))
        portable = found[-1] if draft.is_portable else portable
    return tuple(found)


def write_candidate(draft: Draft, task: QuantizeTask, folder: Path, *, portable: Candidate | None = None) -> Candidate:
    """Check the model and write it into `folder`."""
    path = folder / file_name(task, draft.key, draft.dtype)
    facts = facts_of(task, label=draft.label, percentile=draft.percentile)
    if fits_one_file(draft.model):
        _write_one_file(path, stamped(draft.model, facts))
    else:
        _write_with_data(path, draft.model, facts)
    found = Candidate(draft.key, draft.label, draft.method, draft.dtype, draft.percentile, path, draft.layers)
    return found if portable is None else replace(found, portable=portable.path)


def _write_one_file(path: Path, proto: onnx.ModelProto) -> None:
    check_graph(without_weights(proto))
    path.write_bytes(proto.SerializeToString())


def _write_with_data(path: Path, model: ir.Model, facts: Mapping[str, str]) -> None:
    save_model(model, path)
    proto = restamped(onnx.load_model(path, load_external_data=False), facts)
    path.write_bytes(proto.SerializeToString())
    onnx.checker.check_model(path)


def lowbit_version() -> str:
    return metadata.version("lowbit-server")


def file_name(task: QuantizeTask, key: str, dtype: str) -> str:
    """dtype: what the weights became."""
    kind = key if key == dtype else f"{dtype}_{key}"
    return f"{file_stem(task.model_name)}_{kind}.onnx"


def file_stem(model_name: str) -> str:
    """A user's name for a model as a file name: letters, digits, dot, dash and underscore."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "_", model_name.removesuffix(".onnx")).strip("._-")[:80]
    return stem or "model"


def facts_of(task: QuantizeTask, *, label: str, percentile: float | None) -> Mapping[str, str]:
    """What the file says about itself, wherever it goes."""
    facts = {
        **task.provenance,
        "version": lowbit_version(),
        "target": task.target,
        "recipe_sha256": hashlib.sha256(task.recipe.model_dump_json().encode()).hexdigest(),
    }
    if percentile is not None:
        facts["percentile"] = repr(percentile)
    else:
        facts["variant"] = label
    return {f"{STAMP_PREFIX}{key}": value for key, value in facts.items()}

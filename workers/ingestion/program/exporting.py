"""From a program that was put together anew to ONNX, by torch's own exporter, compared with the program itself."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from app.contracts.problem import quoted, refuse
from app.contracts.status import Stage
from workers.ingestion.foreign_errors import first_line
from workers.ingestion.program.rebuilding import rebuild
from workers.protocol.canonical_files import MODEL_FILE
from workers.protocol.reporter import Reporter
from workers.quantization.executor.executor import RuntimeRefused
from workers.quantization.executor.onnxruntime_session import OnnxRuntimeSession

TOLERANCE = 1e-4
"""Of the largest output: what exporting may change."""
_OTHER_EXTENT = 3


def export_program(path: Path, output: Path, reporter: Reporter, *, max_unpacked_bytes: int = 64 << 30) -> None:
    """Write `output/model.onnx`. To be called in the sandbox only. Raises ProblemFound."""
    clean = output / "program.pt2"
    rebuild(path, clean, max_unpacked_bytes=max_unpacked_bytes)
    reporter.enter(Stage.EXPORT)
    try:
        program = _loaded(clean)
    finally:
        clean.unlink(missing_ok=True)
    inputs = example_inputs(program)
    model = output / MODEL_FILE
    _export(program, model)
    _compare(program, model, inputs)


def example_inputs(program: torch.export.ExportedProgram) -> tuple[torch.Tensor, ...]:
    """Numbers for the inputs, of the extents that the graph was traced with. An ONNX model takes tensors alone."""
    found = []
    placeholders = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
    for name in program.graph_signature.user_inputs:
        value = placeholders[name].meta.get("val") if isinstance(name, str) and name in placeholders else None
        if not isinstance(value, torch.Tensor):
            raise refuse("pt2_invalid", f"The input {quoted(str(name))} is not a tensor.", entry=str(name))
        found.append(_numbers(tuple(_extent(extent) for extent in value.shape), value.dtype))
    return tuple(found)


def _extent(extent: Any) -> int:  # noqa: ANN401  an integer, or a symbol with the value that it had in tracing
    hint = extent if isinstance(extent, int) else getattr(extent.node, "hint", None)
    return int(hint) if hint is not None else _OTHER_EXTENT


def _numbers(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    if dtype.is_floating_point:
        return torch.randn(shape, generator=generator).to(dtype)
    # indices, most likely: 0 and 1 are valid in every table
    return torch.randint(0, 2, shape, generator=generator).to(dtype)


def _loaded(clean: Path) -> torch.export.ExportedProgram:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.export.load(clean)
    except MemoryError:
        raise
    except Exception as error:
        detail = f"torch cannot load the program: {quoted(first_line(error))}"
        raise refuse("pt2_invalid", detail, hint=f"It was read with torch {torch.__version__}.") from error


def _export(program: torch.export.ExportedProgram, model: Path) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exported = torch.onnx.export(program, dynamo=True, verbose=False)
        assert exported is not None
        exported.save(model)
    except MemoryError:
        raise
    except Exception as error:
        raise refuse("export_failed", f"torch cannot export it: {quoted(first_line(error))}") from error


def _compare(program: torch.export.ExportedProgram, model: Path, inputs: tuple[torch.Tensor, ...]) -> None:
    try:
        session = OnnxRuntimeSession(model.read_bytes(), threads=1)
        feeds = {name: tensor.numpy() for name, tensor in zip(session.inputs, inputs, strict=True)}
        given = list(session.run(feeds).values())
    except (RuntimeRefused, ValueError) as error:
        raise refuse("export_failed", f"The exported model does not run: {quoted(first_line(error))}") from error
    expected = _outputs(program, inputs)
    for ours, theirs in zip(given, expected, strict=False):
        off = float(np.max(np.abs(ours.astype(np.float64) - theirs), initial=0.0))
        if not off <= TOLERANCE * max(1.0, float(np.max(np.abs(theirs), initial=0.0))):
            raise refuse("export_failed", f"The exported model's output is off by {off:.1e}.")


def _outputs(program: torch.export.ExportedProgram, inputs: tuple[torch.Tensor, ...]) -> list[np.ndarray[Any, Any]]:
    """What the program itself gives, in the order of its outputs."""
    with torch.no_grad():
        given = program.module(check_guards=False)(*inputs)
    return [tensor.double().numpy() for tensor in _tensors(given)]


def _tensors(given: Any) -> Iterator[torch.Tensor]:  # noqa: ANN401  whatever the model returns
    if isinstance(given, torch.Tensor):
        yield given
    elif isinstance(given, dict):
        for value in given.values():
            yield from _tensors(value)
    elif isinstance(given, list | tuple):
        for value in given:
            yield from _tensors(value)

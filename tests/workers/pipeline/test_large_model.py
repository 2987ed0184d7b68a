"""A model of more than 2 GB, from its upload to int8, in processes whose memory is watched."""

import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

from app.contracts.objective import Benchmark, Objective
from app.contracts.recipes.presets import PRESETS
from workers.protocol.outcome import OUTCOME, Finished
from workers.protocol.tasks import InspectModelTask, QuantizeTask

ROOT = Path(__file__).parents[3]

WIDTH, HIDDEN, LAYERS = 8192, 16384, 4
"""Weights of 512 MB each: [8192, 16384] and [16384, 8192] in turn, 2.1 GB together."""

RUN = """
import sys
from pathlib import Path
from workers.pipeline.__main__ import main

main(Path(sys.argv[1]))
# not ru_maxrss: that never falls below what the parent had when it started this process
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
sys.stderr.write(peak.split()[1])
"""


def test_slow_a_model_of_more_than_2_gb_becomes_int8_in_bounded_memory(tmp_path: Path) -> None:
    """Slow: writes 5 GB, which are deleted again."""
    try:
        _write_upload(tmp_path / "upload")
        inspected, inspecting_mb = _done(tmp_path, InspectModelTask(model="upload/model.tar", format="archive"))
        assert inspected.files == ("model.onnx", "model.onnx.data")
        assert inspected.inspection.parameters == LAYERS * WIDTH * HIDDEN
        (tmp_path / "outputs").rename(tmp_path / "model")
        np.savez(tmp_path / "data.npz", x=np.random.default_rng(1).normal(size=(8, WIDTH)).astype(np.float32))
        outcome, quantizing_mb = _done(tmp_path, _task())
        _check(tmp_path, outcome.outcome)
        # what the test is for
        print(f"\n2,147 MB of float weights: inspection {inspecting_mb} MB, job {quantizing_mb} MB")  # noqa: T201
        assert inspecting_mb < 1500
        assert quantizing_mb < 6000
        # what was foreseen holds, and is not pulled out of the air
        assert quantizing_mb < inspected.inspection.estimate.peak_memory_bytes / 2**20
    finally:
        for path in sorted(tmp_path.rglob("*"), reverse=True):
            path.unlink() if path.is_file() else path.rmdir()


def _check(folder: Path, outcome: Any) -> None:
    baseline, candidate = outcome.variants
    assert baseline.metrics.size_bytes > 2**31
    assert candidate.metrics.size_bytes < baseline.metrics.size_bytes / 3.9
    assert candidate.metrics.sqnr_db > 25
    path = folder / "outputs" / outcome.files[0].path
    x = np.random.default_rng(2).normal(size=(1, WIDTH)).astype(np.float32)
    assert ort.InferenceSession(path).run(None, {"x": x})[0].shape == (1, WIDTH)


def _task() -> QuantizeTask:
    return QuantizeTask(
        model="model/model.onnx", calibration="data.npz", model_name="large", target="onnxruntime-cpu",
        recipe=PRESETS["int8-fast"], objective=Objective(), threads=2,
        benchmark=Benchmark(batch_sizes=(1,), duration_s=0.1),
    )  # fmt: skip


def _done(scratch: Path, task: Any) -> tuple[Any, int]:
    """(what came of it, peak memory in MB) of a process of its own."""
    (scratch / "task.json").write_text(task.model_dump_json())
    finished = subprocess.run(
        [sys.executable, "-c", RUN, scratch], cwd=ROOT, env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    outcome = OUTCOME.validate_json((scratch / "outcome.json").read_bytes())
    assert isinstance(outcome, Finished), outcome
    return outcome.ok, int(finished.stderr.split()[-1]) // 1024


def _write_upload(folder: Path) -> None:
    """A tar of a model and its external data, written a block at a time."""
    folder.mkdir()
    weight_bytes = 4 * WIDTH * HIDDEN
    message = _chain(weight_bytes).SerializeToString()
    with tarfile.open(folder / "model.tar", "w") as archive:
        for name, size, content in (
            ("model.onnx", len(message), io.BytesIO(message)),
            ("weights.bin", LAYERS * weight_bytes, _Repeated()),
        ):
            entry = tarfile.TarInfo(name)
            entry.size = size
            archive.addfile(entry, content)


class _Repeated(io.BytesIO):
    """16 MiB and a bit of normal numbers, again and again."""

    def __init__(self) -> None:
        numbers = np.random.default_rng(0).normal(size=(4 << 20) + 1009) / 128
        super().__init__(numbers.astype(np.float32).tobytes())

    def read(self, size: int | None = -1) -> bytes:
        found = super().read(size)
        while size is not None and len(found) < size:
            self.seek(0)
            found += super().read(size - len(found))
        return found


def _chain(weight_bytes: int) -> onnx.ModelProto:
    """Input [n, 8192] -> MatMul, Relu, MatMul, Relu, .. -> [n, 8192]"""
    nodes, weights = [], []
    for layer in range(LAYERS):
        shape = [WIDTH, HIDDEN] if layer % 2 == 0 else [HIDDEN, WIDTH]
        tensor = TensorProto(name=f"w{layer}", data_type=TensorProto.FLOAT, dims=shape)
        tensor.data_location = TensorProto.EXTERNAL
        told = {"location": "weights.bin", "offset": layer * weight_bytes, "length": weight_bytes}
        for key, value in told.items():
            tensor.external_data.add(key=key, value=str(value))
        weights.append(tensor)
        source = "x" if layer == 0 else f"r{layer - 1}"
        nodes.append(helper.make_node("MatMul", [source, f"w{layer}"], [f"h{layer}"], name=f"product_{layer}"))
        nodes.append(helper.make_node("Relu", [f"h{layer}"], [f"r{layer}"], name=f"relu_{layer}"))
    info = helper.make_tensor_value_info
    inputs, outputs = ([info(name, TensorProto.FLOAT, ["n", WIDTH])] for name in ("x", f"r{LAYERS - 1}"))
    graph = helper.make_graph(nodes, "chain", inputs, outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)

"""Which weights make ONNX Runtime's integer kernels saturate on processors without VNNI, found by running them there.

    .venv/bin/python -m benchmarks.saturation

runs every case here, and once more under qemu's emulation of a Haswell, which has AVX2 and no VNNI. It takes seconds,
and needs `qemu-x86_64` (Debian and Ubuntu: the package qemu-user). Writes benchmarks/results/saturation.json.

Every activation is 255, so that a pair of weights is harmless if 16 bits hold 255 * (a + b), and every result has an
exact value to be compared with. docs/numerics/rounding.md says what follows.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from benchmarks.processes import ROOT
from workers.protocol.processor import cpu_has_vnni, cpu_model
from workers.quantization.rounding.weight_rows import RowLayout

RESULTS = ROOT / "benchmarks" / "results" / "saturation.json"

EMULATOR, EMULATED_CPU = "qemu-x86_64", "Haswell"

Codes = npt.NDArray[np.int8]
Counts = dict[str, dict[str, int]]
"""Wrong results by case and kind of weights."""

_COUNT = "count"
"""The argument of the process whose kernels are watched."""

_ACTIVATION = 255
_SPATIAL = 9
_CODES_AWAY = 100
"""How many codes of the output the largest sum lies from zero: a pair that saturates moves it by several."""


@dataclass(frozen=True)
class Case:
    """An operator with a weight of this shape: MatMul [K, N], Conv [O, C/g, *kernel]."""

    name: str
    shape: tuple[int, ...]
    batch: int = 1
    """Rows of a MatMul's activation."""
    group: int = 1

    @property
    def is_product(self) -> bool:
        return len(self.shape) == 2

    @property
    def layout(self) -> RowLayout:
        return RowLayout(self.shape, axis=1 if self.is_product else 0)

    @property
    def rows(self) -> tuple[int, int]:
        """(output channels, products in each of their sums)"""
        channels = self.shape[self.layout.axis]
        return channels, int(np.prod(self.shape)) // channels


def _product(rows: int, depth: int) -> Case:
    return Case(f"MatMul, {rows} rows, depth {depth}", (depth, 32), batch=rows)


def _convolution(inputs: int, *kernel: int, outputs: int = 16, group: int = 1) -> Case:
    window = "x".join(map(str, kernel))
    grouped = f", {group} groups" if group > 1 else ""
    return Case(
        f"Conv {window}, {inputs} to {outputs} channels{grouped}", (outputs, inputs // group, *kernel), 1, group
    )


CASES = (
    *(_product(rows, 64) for rows in (1, 2, 8, 128)),
    *(_product(4, depth) for depth in (63, 65, 66, 67)),
    *(_convolution(channels, 1, 1) for channels in (3, 5, 8, 16)),
    *(_convolution(channels, 3, 3) for channels in (1, 3, 5, 8, 16)),
    _convolution(5, 3),
    _convolution(5, 3, 3, 3),
    _convolution(16, 3, 3, outputs=32, group=4),
    _convolution(16, 3, 3, outputs=64, group=8),
    _convolution(12, 3, 3, group=2),
    _convolution(21, 1, 1, outputs=24, group=3),
    _convolution(6, 5, 5, group=2),
    # one input channel for each output channel: these have a kernel of their own
    *(_convolution(channels, 3, 3, outputs=channels, group=channels) for channels in (3, 16, 17)),
    _convolution(1, 3, 3, outputs=1),
    _convolution(16, 5, 5, group=16),
    _convolution(16, 3, group=16),
    _convolution(16, 3, 3, 3, group=16),
    # and two output channels for each: these have not
    _convolution(16, 3, 3, outputs=32, group=16),
    _convolution(16, 5, 5, outputs=32, group=16),
    _convolution(16, 3, outputs=32, group=16),
)


def full_8_bit(case: Case) -> Codes:
    return _in_kernel_order(case, np.array([127]))


def seven_bit(case: Case) -> Codes:
    """Every weight within 64, ONNX Runtime's reduce_range."""
    return _in_kernel_order(case, np.array([64]))


def limited_pairs(case: Case) -> Codes:
    """Columns 0 and 1, 2 and 3, .. add up to 128, the limit; columns 1 and 2, 5 and 6, .. to 254."""
    return _in_kernel_order(case, np.array([1, 127, 127, 1]))


def shifted_pairs(case: Case) -> Codes:
    """The same, one column to the left: if the kernels pair as we say, every other pair is the worst there is."""
    return _in_kernel_order(case, np.array([127, 127, 1, 1]))


WEIGHTS: Mapping[str, Callable[[Case], Codes]] = {
    make.__name__: make for make in (full_8_bit, seven_bit, limited_pairs, shifted_pairs)
}


def _in_kernel_order(case: Case, period: npt.NDArray[np.int64]) -> Codes:
    """A pattern along the rows that kernels walk, its sign changing from channel to channel."""
    channels, depth = case.rows
    signs = np.where(np.arange(channels) % 2, -1, 1)
    rows = np.outer(signs, np.resize(period, depth)).astype(np.int8)
    return case.layout.weight(rows).astype(np.int8)


def wrong_results(case: Case, codes: Codes) -> int:
    """How many results of the integer kernel differ from the exact ones."""
    exact = _ACTIVATION * case.layout.rows(codes).sum(axis=1, dtype=np.int64)  # [channels]
    if case.is_product:
        return int((_products(case, codes) != exact).sum())
    # at exactly one half the kernel may round either way: an odd divisor leaves no halves
    step = np.float32(2 * (_ACTIVATION * 127 * case.rows[1] // (2 * _CODES_AWAY)) + 1)
    found = np.moveaxis(_convolutions(case, codes, step), 1, -1)  # -> [1, *positions, channels]
    return int((found != np.clip(np.rint(exact / step) + 128, 0, 255)).sum())


def wrong_by_case() -> Counts:
    return {case.name: {kind: wrong_results(case, make(case)) for kind, make in WEIGHTS.items()} for case in CASES}


def _products(case: Case, codes: Codes) -> npt.NDArray[np.int32]:
    x = np.full((case.batch, case.shape[0]), _ACTIVATION, np.uint8)
    node = helper.make_node("MatMulInteger", ["x", "w"], ["y"])
    return np.asarray(_run(node, {"w": codes}, x, TensorProto.INT32), np.int32)


def _convolutions(case: Case, codes: Codes, step: np.float32) -> npt.NDArray[np.uint8]:
    """The operator into which the runtime fuses a QDQ convolution."""
    spatial = len(case.shape) - 2
    x = np.full((1, case.shape[1] * case.group, *[_SPATIAL] * spatial), _ACTIVATION, np.uint8)
    inputs = ["x", "one", "zero", "w", "one", "none", "step", "middle"]
    node = helper.make_node("QLinearConv", inputs, ["y"], group=case.group)
    constants: dict[str, npt.ArrayLike] = {
        "one": np.float32(1),
        "zero": np.uint8(0),
        "none": np.int8(0),
        "step": step,
        "middle": np.uint8(128),
        "w": codes,
    }
    return np.asarray(_run(node, constants, x, TensorProto.UINT8), np.uint8)


def _run(
    node: onnx.NodeProto, constants: Mapping[str, npt.ArrayLike], x: npt.NDArray[np.uint8], result: int
) -> npt.ArrayLike:
    graph = helper.make_graph(
        [node],
        "saturation",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, x.shape)],
        [helper.make_tensor_value_info("y", result, None)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    found: npt.ArrayLike = session.run(None, {"x": x})[0]
    return found


def main() -> None:
    if shutil.which(EMULATOR) is None:
        raise SystemExit(f"{EMULATOR} is not on PATH. Debian and Ubuntu have it in the package qemu-user.")
    native, emulated = wrong_by_case(), _emulated()
    found = {"conditions": _conditions(), "wrong_results": {"native": native, "without_vnni": emulated}}
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    width = max(map(len, emulated))
    print(f"{'':{width}}  {'  '.join(WEIGHTS)}      (wrong results without VNNI)")
    for name, counts in emulated.items():
        print(f"{name:{width}}  {'  '.join(f'{count:{len(kind)}}' for kind, count in counts.items())}")
    print(f"Wrong results here: {sum(sum(counts.values()) for counts in native.values())}. Wrote {RESULTS}.")


def _emulated() -> Counts:
    command = [EMULATOR, "-cpu", EMULATED_CPU, sys.executable, "-m", "benchmarks.saturation", _COUNT]
    told = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, text=True)
    found: Counts = json.loads(told.stdout.splitlines()[-1])
    return found


def _conditions() -> dict[str, str | bool]:
    version = subprocess.run([EMULATOR, "--version"], stdout=subprocess.PIPE, check=True, text=True).stdout
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cpu": cpu_model(),
        "cpu_has_vnni": cpu_has_vnni(),
        "emulator": version.splitlines()[0],
        "emulated_cpu": EMULATED_CPU,
        **{package: metadata.version(package) for package in ("onnxruntime", "onnx", "numpy")},
    }


if __name__ == "__main__":
    if sys.argv[1:] == [_COUNT]:
        print(json.dumps(wrong_by_case()))
    else:
        main()

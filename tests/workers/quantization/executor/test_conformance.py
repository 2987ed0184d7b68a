"""The torch executor against ONNX's own backend node tests."""

import fnmatch
import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import numpy_helper
from onnx.backend.test.loader import load_model_tests

from tests.workers.quantization.executor.excluded_node_tests import EXCLUDED_CASES, OPERATORS_WITHOUT_ENTRY
from workers.quantization.executor.executor import ExecutorError, OperatorNotSupported
from workers.quantization.executor.operators import TABLE
from workers.quantization.executor.torch_executor import TorchExecutor

FEWEST_PASSED = 1340

# Expected values in 16-bit floats were rounded after each operator in numpy's order: they may be two steps off.
STEPS_OF_16_BITS = {"float16": 2 * 2.0**-10, "bfloat16": 2 * 2.0**-7}


@dataclass
class Results:
    passed: list[str] = field(default_factory=list)
    without_entry: dict[str, set[str]] = field(default_factory=dict)
    """Case -> operators that have neither entry nor body."""
    failed: dict[str, str] = field(default_factory=dict)
    operators_run: set[str] = field(default_factory=set)


@pytest.fixture(scope="module")
def results() -> Results:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # onnx overflows on purpose while it makes expected values
        cases = load_model_tests(kind="node")
    collected = Results()
    for case in cases:
        _run(case, collected)
    return collected


def test_every_case_passes_that_is_not_excluded_by_name(results: Results) -> None:
    beside = f"{len(results.without_entry)} of operators without an entry, {len(results.failed)} excluded"
    print(f"\n{len(results.passed)} node tests passed; {beside}")  # noqa: T201  # the figure that the run is about
    unexpected = {name: why for name, why in results.failed.items() if name not in _excluded(results)}
    assert unexpected == {}
    assert len(results.passed) >= FEWEST_PASSED


def test_every_exclusion_is_still_needed(results: Results) -> None:
    patterns = [pattern for group in EXCLUDED_CASES.values() for pattern in group]
    idle = [p for p in patterns if not fnmatch.filter(results.failed, p)]
    assert idle == []


def test_the_operators_without_entry_are_those_listed(results: Results) -> None:
    listed = {operator for group in OPERATORS_WITHOUT_ENTRY.values() for operator in group}
    assert {operator for found in results.without_entry.values() for operator in found} == listed


def test_every_operator_of_the_table_was_run(results: Results) -> None:
    operators = {name for name, _ in TABLE}
    print(f"\n{len(operators)} operators in {len(TABLE)} rows")  # noqa: T201  # likewise
    assert operators - results.operators_run == set()


def _excluded(results: Results) -> set[str]:
    patterns = [pattern for group in EXCLUDED_CASES.values() for pattern in group]
    return {name for pattern in patterns for name in fnmatch.filter(results.failed, pattern)}


def _run(case: Any, collected: Results) -> None:
    try:
        executor = TorchExecutor(ir.from_proto(case.model))
        for inputs, outputs in case.data_sets:
            feeds = {v.name: _array(x) for v, x in zip(case.model.graph.input, inputs, strict=False)}
            _compare(executor.run(feeds), outputs, case)
    except OperatorNotSupported as refusal:
        if "no such entry" in refusal.reason:
            collected.without_entry[case.name] = {refusal.operator}
        else:
            collected.failed[case.name] = str(refusal)
    except (ExecutorError, AssertionError) as error:
        collected.failed[case.name] = " ".join(str(error).split())[:300]
    else:
        collected.passed.append(case.name)
        collected.operators_run.update(node.op_type for node in case.model.graph.node)


def _compare(computed: dict[str, Any], expected: Any, case: Any) -> None:
    for got, want in zip(computed.values(), map(_array, expected), strict=True):
        assert got.dtype == want.dtype
        assert got.shape == want.shape
        rtol = max(case.rtol, STEPS_OF_16_BITS.get(want.dtype.name, 0.0))
        np.testing.assert_allclose(_comparable(got), _comparable(want), rtol=rtol, atol=case.atol)


def _comparable(array: Any) -> Any:
    """Numpy's comparison does not know bfloat16."""
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array


def _array(value: Any) -> Any:
    return numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else np.asarray(value)

"""The cast to float16 against ONNX's own backend node tests: types, loading, and what comes out."""

import fnmatch
import importlib
import pkgutil
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnx.backend.test.case.node as node_tests
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import TensorProto, numpy_helper

from tests.workers.quantization.half import one_operator_models
from workers.quantization.graph.opset import PER_AXIS_QUANTIZATION, default_opset
from workers.quantization.half.constants import LARGEST
from workers.quantization.passes.float16 import cast_to_float16
from workers.quantization.passes.lift_constants import lift_constants

FEWEST_LOADED = 850

# onnx computes what these pools should give in plain Python, for a minute and a half; other tests have pools
SLOW_TO_LOAD = {"averagepool", "lppool", "maxpool"}

_NO_ARRAYS = "ONNX Runtime's Python takes no arrays of such types"

EXCLUDED_CASES = {
    _NO_ARRAYS: ("test_castlike_*FLOAT8E*", "test_castlike_*INT[24]*", "test_castlike_*BFLOAT16*"),
    "random: a run draws other numbers than the expected ones": ("test_training_dropout*",),
    "ONNX Runtime differs from the expected values in float32 too": (
        "test_attention_4d_diff_heads_mask4d_padded_kv", "test_maxunpool_export_with_output_shape",
        "test_resize_downsample_scales_*_align_corners",
    ),
}  # fmt: skip

OPERATORS_WITHOUT_CASE = {
    "they hold graphs, sequences or optional values, which are left as they are": {
        "ConcatFromSequence", "If", "Loop", "Optional", "OptionalHasElement", "Scan", "SequenceAt", "SequenceConstruct",
        "SequenceInsert",
    },
    "ONNX's own inference fails on its function body": {"MeanVarianceNormalization"},
    "gone from newer opsets": {"Scatter", "Upsample"},
}  # fmt: skip


@dataclass
class Results:
    typed: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)
    compared: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    operators: set[str] = field(default_factory=set)


@pytest.fixture(scope="module")
def results() -> Results:
    collected = Results()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # onnx overflows on purpose while it makes expected values
        for case in _cases():
            _try(case, collected)
    return collected


def test_every_float_operator_has_a_float16_form_that_is_typed_loads_and_agrees(results: Results) -> None:
    unexpected = {name: why for name, why in results.failed.items() if not _is_excluded(name)}
    counts = f"{len(results.typed)} typed, {len(results.loaded)} loaded, {len(results.compared)} compared"
    print(f"\n{counts}, {len(results.operators)} operators")  # noqa: T201  # the figures that the run is about
    assert unexpected == {}
    assert len(results.loaded) >= FEWEST_LOADED


def test_every_exclusion_is_still_needed(results: Results) -> None:
    patterns = [pattern for group in EXCLUDED_CASES.values() for pattern in group]
    assert [p for p in patterns if not fnmatch.filter(results.failed, p)] == []


def test_every_operator_that_knows_float16_was_cast(results: Results) -> None:
    known = {s.name for s in onnx.defs.get_all_schemas() if s.domain == "" and _knows_float16(s)}
    assert known - results.operators == {name for group in OPERATORS_WITHOUT_CASE.values() for name in group}


def test_every_operator_whose_type_an_attribute_names_was_cast(results: Results) -> None:
    naming = {"dtype", "to", "output_dtype", "output_datatype"}
    known = {s.name for s in onnx.defs.get_all_schemas() if s.domain == "" and naming & set(s.attributes)}
    assert known - results.operators == {"SequenceEmpty"}


def _knows_float16(schema: onnx.defs.OpSchema) -> bool:
    return any("tensor(float16)" in c.allowed_type_strs for c in schema.type_constraints)


def _cases() -> Iterator[Any]:
    for module in pkgutil.iter_modules(node_tests.__path__):
        if module.name not in SLOW_TO_LOAD:
            importlib.import_module(f"{node_tests.__name__}.{module.name}")
    slow = tuple(f"test_{name}" for name in SLOW_TO_LOAD)
    for case in node_tests._NodeTestCases:
        opset = default_opset(case.model) or 0
        whole = not case.name.endswith("_expanded") and not case.name.startswith(slow)
        if whole and opset >= PER_AXIS_QUANTIZATION and _touches_float32(case.model):
            yield case
    yield from one_operator_models.cases()


def _touches_float32(model: onnx.ModelProto) -> bool:
    return any(v.type.tensor_type.elem_type == TensorProto.FLOAT for v in (*model.graph.input, *model.graph.output))


def _try(case: Any, collected: Results) -> None:
    try:
        onnx.checker.check_model(case.model, full_check=True)
    except Exception:  # noqa: BLE001  # ONNX's and ONNX Runtime's errors are of many types
        return  # it is not ours to make valid
    try:
        half = _cast(case.model)
        collected.typed.append(case.name)
        collected.operators.update(node.op_type for node in half.graph.node)
        if not _is_loaded_in_float32(case.model):
            return
        session = _session(half)
        collected.loaded.append(case.name)
        for inputs, outputs in case.data_sets:
            _compare(session, case, inputs, outputs)
    except Exception as error:  # noqa: BLE001  # likewise
        collected.failed[case.name] = " ".join(str(error).split())[:300]
    else:
        collected.compared.append(case.name)


def _cast(model: onnx.ModelProto) -> onnx.ModelProto:
    lifted = lift_constants(ir.from_proto(model))
    cast_to_float16(lifted)
    half = ir.to_proto(lifted)
    onnx.checker.check_model(half, full_check=True)
    return half


def _is_loaded_in_float32(model: onnx.ModelProto) -> bool:
    try:
        _session(model)
    except Exception:  # noqa: BLE001  # likewise
        return False
    return True


def _session(model: onnx.ModelProto) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    return ort.InferenceSession(model.SerializeToString(), options)


def _compare(session: ort.InferenceSession, case: Any, inputs: Any, outputs: Any) -> None:
    feeds = {v.name: _array(x) for v, x in zip(case.model.graph.input, inputs, strict=False)}
    asked = {v.name for v in session.get_inputs()}
    results = session.run(None, {name: x for name, x in feeds.items() if name in asked})
    for got, want in zip(results, map(_array, outputs), strict=True):
        if isinstance(want, list):
            for one, other in zip(got, want, strict=True):
                _compare_arrays(one, other)
        else:
            _compare_arrays(got, want)


def _compare_arrays(got: Any, want: Any) -> None:
    """To 1 % of the largest; what float16 cannot hold, infinity among it, has no part in it."""
    assert got.shape == want.shape
    if want.dtype.kind != "f":
        np.testing.assert_array_equal(got, want)
        return
    held = np.abs(want) <= LARGEST
    largest = float(np.abs(want[held]).max(initial=0.0))
    np.testing.assert_allclose(got[held], want[held], rtol=0, atol=0.01 * largest)


def _array(value: Any) -> Any:
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    return value if isinstance(value, list) or value is None else np.asarray(value)


def _is_excluded(name: str) -> bool:
    return any(fnmatch.fnmatch(name, pattern) for group in EXCLUDED_CASES.values() for pattern in group)

"""What shapes settle is worked out once, and what data decides is not mistaken for it."""

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from onnx import TensorProto, helper

from tests.workers.quantization.executor.exported_models import text_model
from tests.workers.quantization.small_models import model_of
from workers.quantization.executor import shape_memory
from workers.quantization.executor.graph_module import GraphModule

n = helper.make_node


def _module(nodes: Any, weights: Any = (), shape: Any = (3,)) -> GraphModule:
    arrays = {name: np.asarray(value) for name, value in dict(weights).items()}
    proto = model_of(nodes, arrays, inputs={"x": list(shape)}, outputs={})
    proto.graph.output.append(onnx.ValueInfoProto(name="y"))
    return GraphModule(ir.from_proto(proto))


def _text(batch: int, length: int) -> Any:
    ids = torch.arange(batch * length).reshape(batch, length)
    return {"ids": ids, "mask": torch.ones_like(ids)}


def test_a_second_run_of_the_same_shapes_gives_the_same_with_fewer_steps() -> None:
    module = GraphModule(text_model("gpt2"))
    outputs = module.outputs
    first = module(_text(2, 5))[outputs[0]]
    torch.testing.assert_close(module(_text(2, 5))[outputs[0]], first, rtol=0, atol=0)
    fewer, all_steps = (len(module._plan(outputs, settled=settled)) for settled in (True, False))
    assert fewer < 0.7 * all_steps


def test_shapes_are_not_taken_for_one_another() -> None:
    module, fresh = GraphModule(text_model("gpt2")), GraphModule(text_model("gpt2"))
    module(_text(2, 5))
    for batch, length in ((2, 7), (5, 2), (2, 5)):
        got, expected = (m(_text(batch, length))[m.outputs[0]] for m in (module, fresh))
        torch.testing.assert_close(got, expected, rtol=0, atol=0)


def test_other_outputs_of_the_same_shapes_find_what_they_need() -> None:
    nodes = [n("Shape", ["x"], ["a"]), n("Shape", ["x"], ["b"]), n("Reshape", ["x", "b"], ["y"])]
    module = _module(nodes)
    assert module({"x": torch.ones(3)}, ["a"])["a"].tolist() == [3]
    assert module({"x": torch.ones(3)}, ["y", "b"])["b"].tolist() == [3]


def test_what_was_worked_out_without_gradients_serves_runs_with_them() -> None:
    """X / sqrt(size): the divisor is computed on the host, and backward needs it."""
    nodes = [
        n("Size", ["x"], ["size"]), n("Cast", ["size"], ["real"], to=TensorProto.FLOAT),
        n("Sqrt", ["real"], ["root"]), n("Div", ["x", "root"], ["y"]),
    ]  # fmt: skip
    module = _module(nodes, shape=(4,))
    with torch.inference_mode():
        module({"x": torch.ones(4)})
    x = torch.ones(4, requires_grad=True)
    module({"x": x})["y"].sum().backward()
    assert x.grad.tolist() == [0.5] * 4  # 1 / sqrt(4)


@pytest.mark.parametrize("kind", ["range", "nonzero"])
def test_a_shape_that_depends_on_data_is_never_remembered(kind: str) -> None:
    by_range = [
        n("ReduceSum", ["x"], ["total"], keepdims=0), n("Cast", ["total"], ["count"], to=TensorProto.INT64),
        n("Range", ["zero", "count", "one"], ["found"]), n("Shape", ["found"], ["y"]),
    ]  # fmt: skip
    by_places = [n("NonZero", ["x"], ["found"]), n("Shape", ["found"], ["y"], start=1)]
    weights = {"zero": np.int64(0), "one": np.int64(1)} if kind == "range" else {}
    module = _module(by_range if kind == "range" else by_places, weights, shape=(4,))
    assert module({"x": torch.tensor([1.0, 1.0, 0.0, 0.0])})["y"].tolist() == [2]
    assert module({"x": torch.tensor([1.0, 1.0, 1.0, 0.0])})["y"].tolist() == [3]


def test_memory_does_not_grow_with_the_number_of_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shape_memory, "MOST_SHAPES", 4)
    module = _module([n("Shape", ["x"], ["s"]), n("Expand", ["x", "s"], ["y"])], shape=("n",))
    for size in range(20):
        assert module({"x": torch.ones(size)})["y"].shape == (size,)
        assert len(module._memory._values) <= 4

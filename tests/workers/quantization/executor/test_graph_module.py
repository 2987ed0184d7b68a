"""The graph as a torch module: gradients, parameters, values by name, what is kept in memory."""

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from tests.workers.quantization.executor.exported_models import batch_norm_cnn, text_model
from tests.workers.quantization.small_models import model_of, residual_cnn, two_matmuls
from workers.quantization.executor.executor import (
    ConstantIsFixed,
    InputMissing,
    OperatorFailed,
    OperatorNotSupported,
    ValueNotInGraph,
)
from workers.quantization.executor.graph_module import GraphModule

n = helper.make_node


def _module(nodes: Any, weights: Any, shape: Any, outputs: Any = ("y",), opset: int = 20) -> GraphModule:
    arrays = {name: np.asarray(value) for name, value in weights.items()}
    proto = model_of(nodes, arrays, inputs={"x": shape}, outputs={}, opset=opset)
    proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs)
    return GraphModule(ir.from_proto(proto))


def _small(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


DIFFERENTIABLE = {
    "conv with asymmetric pads": [n("Conv", ["x", "w"], ["y"], pads=[0, 1, 1, 0], strides=[2, 1])],
    "transposed conv": [n("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2], output_padding=[1, 0])],
    "average pool": [n("AveragePool", ["x"], ["y"], kernel_shape=[2, 2], pads=[1, 0, 0, 1])],
    "layer norm": [n("LayerNormalization", ["x", "s"], ["y"], axis=-1)],
    "linear resize": [n("Resize", ["x", "", "f"], ["y"], mode="linear")],
    "cubic resize": [n("Resize", ["x", "", "f"], ["y"], mode="cubic")],
    "attention-like": [n("Transpose", ["x"], ["t"], perm=[0, 1, 3, 2]), n("MatMul", ["x", "t"], ["p"]),
                       n("Softmax", ["p"], ["q"]), n("MatMul", ["q", "x"], ["y"])],
    "gather": [n("Gather", ["x", "i"], ["y"], axis=3)],
    "l2 over channels": [n("ReduceL2", ["x", "c"], ["y"])],
    "a function body": [n("Mish", ["x"], ["y"])],
    "slice backwards": [n("Slice", ["x", "last", "before", "c", "back"], ["y"])],
}  # fmt: skip
DIFFERENTIABLE_WEIGHTS = {
    "w": _small(2, 2, 2, 2), "s": _small(4), "f": np.float32([1, 1, 2, 1.5]), "i": np.int64([3, 0, -1]),
    "c": np.int64([1]), "last": np.int64([-1]), "before": np.int64([-9]), "back": np.int64([-1]),
}  # fmt: skip


@pytest.mark.parametrize("case", list(DIFFERENTIABLE))
def test_gradients_equal_finite_differences(case: str) -> None:
    nodes = DIFFERENTIABLE[case]
    read = {name for node in nodes for name in node.input}
    weights = {name: value for name, value in DIFFERENTIABLE_WEIGHTS.items() if name in read}
    module = _module(nodes, weights, [1, 2, 3, 4]).double()
    x = torch.from_numpy(_small(1, 2, 3, 4, seed=1)).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda values: module({"x": values})["y"], (x,))


def test_a_few_training_steps_lower_the_loss() -> None:
    """The student starts from weights that were disturbed, and learns to give the outputs of the graph as it was."""
    torch.manual_seed(0)
    teacher, student = GraphModule(batch_norm_cnn()), GraphModule(batch_norm_cnn())
    with torch.no_grad():
        for weight in student.weights.values():
            weight.add_(0.05 * torch.randn_like(weight).clamp(-1, 1))
    trained = [w for name, w in student.weights.items() if name.endswith(("weight", "bias"))]
    optimizer = torch.optim.Adam(trained, 1e-2)
    x = {"image": torch.randn(64, 1, 8, 8)}
    losses = []
    for _ in range(30):
        (wanted,), (got,) = teacher(x).values(), student(x).values()
        loss = torch.nn.functional.mse_loss(got, wanted.detach())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert all(w.grad is not None for w in trained)
    assert losses[-1] < 0.5 * losses[0]


def test_every_weight_of_a_transformer_gets_a_gradient() -> None:
    module = GraphModule(text_model("bert"))
    feeds = {"ids": torch.arange(6).reshape(2, 3), "mask": torch.ones(2, 3, dtype=torch.int64)}
    (hidden,) = module(feeds).values()
    hidden.square().sum().backward()
    without = [name for name, w in module.weights.items() if w.numel() > 1 and w.grad is None]
    assert without == []


def test_floats_become_parameters_under_their_onnx_names_and_integers_buffers() -> None:
    nodes = [
        n("Constant", [], ["k"], value=numpy_helper.from_array(np.float32([2.0, 3.0]))),
        n("Identity", ["layer.0.weight"], ["alias"]),
        n("Mul", ["x", "alias"], ["scaled"]),
        n("Mul", ["scaled", "k"], ["product"]),
        n("Gather", ["product", "which.one"], ["y"], axis=0),
    ]
    module = _module(nodes, {"layer.0.weight": np.float32([5.0, 7.0]), "which.one": np.int64([1])}, [2])
    assert set(module.weights) == {"layer.0.weight", "k"}
    assert [tuple(b.shape) for b in module.buffers()] == [(1,)]
    # (1, 1) * (5, 7) * (2, 3) = (10, 21), of which [1] is 21
    assert module({"x": torch.ones(2)})["y"].tolist() == [21.0]
    module({"x": torch.ones(2)})["y"].sum().backward()
    assert module.weights["layer.0.weight"].grad.tolist() == [0.0, 3.0]


def test_names_that_torch_cannot_tell_apart_stay_apart() -> None:
    nodes = [n("Mul", ["x", "a.b"], ["m"]), n("Add", ["m", "a_b"], ["y"])]
    module = _module(nodes, {"a.b": np.float32([2.0]), "a_b": np.float32([3.0])}, [1])
    assert module({"x": torch.ones(1)})["y"].tolist() == [5.0]  # 1 * 2 + 3
    again = _module(nodes, {"a.b": np.float32([0.0]), "a_b": np.float32([0.0])}, [1])
    again.load_state_dict(module.state_dict())
    assert again({"x": torch.ones(1)})["y"].tolist() == [5.0]


def test_the_model_keeps_its_weights_when_the_module_changes_its_own() -> None:
    model = ir.from_proto(two_matmuls())
    before = model.graph.initializers["w1"].const_value.numpy().copy()
    module = GraphModule(model)
    with torch.no_grad():
        module.weights["w1"].zero_()
    np.testing.assert_array_equal(model.graph.initializers["w1"].const_value.numpy(), before)


def test_any_value_can_be_read_by_its_name() -> None:
    module = GraphModule(ir.from_proto(residual_cnn()))
    x = {"x": torch.from_numpy(_small(2, 3, 8, 8))}
    values = module(x, ["a", "r2", "c1", "x", "w1"])
    assert list(values) == ["a", "r2", "c1", "x", "w1"]
    torch.testing.assert_close(values["r2"], values["a"].relu())
    torch.testing.assert_close(values["c1"], torch.nn.functional.conv2d(x["x"], values["w1"], padding=1))


def test_the_other_name_that_identity_gives_is_a_name_too() -> None:
    module = _module([n("Relu", ["x"], ["r"]), n("Identity", ["r"], ["y"])], {}, [2])
    assert module({"x": torch.tensor([-1.0, 2.0])}, ["y", "r"])["y"].tolist() == [0.0, 2.0]


def test_values_are_freed_once_nobody_reads_them() -> None:
    """A chain of 50 nodes on 1 MB holds its ends, not its middle."""
    nodes = [n("Neg", [f"v{i}" if i else "x"], [f"v{i + 1}"]) for i in range(50)]
    module = _module(nodes, {}, [262144], outputs=["v50"])
    alive = []
    for scheduled in module._plan(("v50",), settled=False):
        module_values = set(alive) | set(scheduled.step.outputs)
        alive = sorted(module_values - set(scheduled.forget))
        assert len(alive) <= 1
    assert alive == ["v50"]


def test_only_what_the_outputs_need_is_computed() -> None:
    nodes = [n("Relu", ["x"], ["y"]), n("Reshape", ["x", "wrong"], ["z"])]
    module = _module(nodes, {"wrong": np.int64([5, 5])}, [2], outputs=["y", "z"])
    assert module({"x": torch.ones(2)}, ["y"])["y"].tolist() == [1.0, 1.0]
    with pytest.raises(OperatorFailed, match="Reshape"):
        module({"x": torch.ones(2)})


def test_a_missing_input_and_an_unknown_value_are_named() -> None:
    module = GraphModule(ir.from_proto(two_matmuls()))
    with pytest.raises(InputMissing, match="x"):
        module({})
    with pytest.raises(ValueNotInGraph, match="nowhere"):
        module({"x": torch.zeros(1, 2, 16)}, ["y", "nowhere"])


def test_an_input_with_a_default_may_be_left_out_or_given() -> None:
    graph = helper.make_graph(
        [n("Mul", ["x", "gain"], ["y"])],
        "g",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in ("x", "gain")],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])],
        [numpy_helper.from_array(np.float32([2.0, 3.0]), "gain")],
    )
    module = GraphModule(ir.from_proto(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 9)])))
    assert module.inputs == ("x",)
    assert module({"x": torch.ones(2)})["y"].tolist() == [2.0, 3.0]
    assert module({"x": torch.ones(2), "gain": torch.zeros(2)})["y"].tolist() == [0.0, 0.0]


def test_a_constant_that_is_part_of_a_shape_cannot_be_fed() -> None:
    module = _module([n("Reshape", ["x", "shape"], ["y"])], {"shape": np.int64([2, 1])}, [2])
    with pytest.raises(ConstantIsFixed, match="shape"):
        module({"x": torch.ones(2), "shape": torch.tensor([1, 2])})
    assert module({"x": torch.ones(2)}, ["shape"])["shape"].tolist() == [2, 1]  # but read


def test_an_operator_without_an_entry_is_refused_by_name() -> None:
    with pytest.raises(OperatorNotSupported, match=r"'sum': operator CumProd \(ai.onnx 26\)"):
        _module([n("CumProd", ["x", "a"], ["y"], name="sum")], {"a": np.int64(0)}, [3], opset=26)
    with pytest.raises(OperatorNotSupported, match="antialias"):
        _module([n("Resize", ["x", "", "f"], ["y"], antialias=1)], {"f": np.float32([1])}, [3])


def test_nan_and_infinity_pass_through_as_they_are() -> None:
    module = _module([n("Relu", ["x"], ["r"]), n("Clip", ["r", "", "six"], ["y"])], {"six": np.float32(6.0)}, [4])
    got = module({"x": torch.tensor([float("nan"), float("inf"), -float("inf"), 1.0])})["y"]
    torch.testing.assert_close(got, torch.tensor([float("nan"), 6.0, 0.0, 1.0]), equal_nan=True)


def test_inputs_need_not_be_contiguous_nor_have_a_size() -> None:
    module = GraphModule(ir.from_proto(residual_cnn()))
    x = torch.from_numpy(_small(2, 8, 8, 3)).permute(0, 3, 1, 2)
    torch.testing.assert_close(module({"x": x})["y"], module({"x": x.contiguous()})["y"])
    assert module({"x": x[:0]})["y"].shape == (0, 5)

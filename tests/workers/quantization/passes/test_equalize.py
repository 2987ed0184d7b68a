from itertools import pairwise
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from tests.workers.quantization.small_models import model_of, residual_cnn, two_matmuls
from workers.quantization.affine import choose_qparams, choose_weight_qparams, fake_quantize
from workers.quantization.error_metrics import sqnr_db
from workers.quantization.executor.onnxruntime_session import OnnxRuntimeSession
from workers.quantization.graph.observation import with_observed_outputs
from workers.quantization.passes.equalize import equalize
from workers.quantization.passes.fold_batch_norm import fold_batch_norm
from workers.quantization.passes.insert_qdq import insert_qdq
from workers.quantization.passes.lift_constants import lift_constants
from workers.quantization.placement import Schemes, place_for_onnxruntime_cpu
from workers.quantization.scheme import INT8_WEIGHTS, UINT8_ACTIVATIONS, Scheme

# so that no processor saturates: 2 * 255 * 64 fits 16 bits
INT7_WEIGHTS = Scheme("int8", "per_tensor", -64, 63, "absmax_over_q_max")

n = helper.make_node
LAYERS = {"Conv", "ConvTranspose", "Gemm", "MatMul"}


def equalized(model: onnx.ModelProto) -> tuple[onnx.ModelProto, list[str]]:
    graph = lift_constants(ir.from_proto(model))
    fold_batch_norm(graph)
    touched = equalize(graph)
    proto = ir.to_proto(graph)
    onnx.checker.check_model(proto, full_check=True)
    return proto, touched


def run(model: onnx.ModelProto, feeds: Any) -> Any:
    return ort.InferenceSession(model.SerializeToString()).run(None, feeds)[0]


def weights_of(model: onnx.ModelProto) -> dict[str, Any]:
    """Weight by layer."""
    constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    return {node.name: constants[node.input[1]] for node in model.graph.node if node.op_type in LAYERS}


def assert_same_output(model: onnx.ModelProto, other: onnx.ModelProto, feeds: Any) -> None:
    reference = run(model, feeds)
    # rounding is relative to the largest value on the way, a Clip may cut off nearly all of it: half a unit in the last
    # place, 6e-8, for each of the up to 100 products of a sum and each of ten layers, most of which cancel
    np.testing.assert_allclose(run(other, feeds), reference, rtol=1e-5, atol=1e-5 * largest_value(model, feeds))


def largest_value(model: onnx.ModelProto, feeds: Any) -> float:
    """Of all tensors that the model computes."""
    everything = onnx.ModelProto()
    everything.CopyFrom(model)
    names = [name for node in model.graph.node for name in node.output]
    known = {output.name for output in model.graph.output}
    everything.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in known)
    session = OnnxRuntimeSession(everything.SerializeToString(), threads=1)
    return max(float(np.abs(value).max()) for value in session.run(feeds, names).values())


class Chain:
    """A network made by putting one operator behind another; channel scales of the weights differ by up to 2^6."""

    def __init__(self, seed: int, channels: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes = []
        self.weights: dict[str, Any] = {"zero": np.float32(0.0), "six": np.float32(6.0)}
        self.value, self.channels, self.first = "x", channels, channels
        self.rank = 4

    def put(self, op_type: str, *inputs: str, **attributes: Any) -> None:
        name = f"{op_type}{len(self.nodes)}"
        self.nodes.append(n(op_type, [self.value, *inputs], [f"{name}_out"], name=name, **attributes))
        self.value = f"{name}_out"

    def layer(self, op_type: str, shape: Any, out: int, axis: int, *, bias: bool = True, **attributes: Any) -> None:
        name = f"w{len(self.nodes)}"
        # a scale for each output channel, or for each of a group's
        skew = 2.0 ** self.rng.uniform(-3, 3, shape[axis])
        weight = self.rng.normal(size=shape) * np.expand_dims(skew, [d for d in range(len(shape)) if d != axis])
        self.weights[name] = weight.astype(np.float32)
        self.weights[f"{name}_b"] = self.rng.normal(size=out).astype(np.float32)
        self.put(op_type, name, *([f"{name}_b"] if bias else []), **attributes)
        self.channels = out

    def conv(self, out: int, *, group: int = 1, bias: bool = True) -> None:
        shape = (out, self.channels // group, 3, 3)
        self.layer("Conv", shape, out, 0, bias=bias, group=group, pads=[1, 1, 1, 1])

    def transposed(self, out: int, *, group: int = 1) -> None:
        shape = (self.channels, out // group, 2, 2)
        self.layer("ConvTranspose", shape, out, 1, group=group, strides=[1, 1])

    def model(self) -> onnx.ModelProto:
        weights = {name: np.asarray(array) for name, array in self.weights.items()}
        inputs = {"x": [2, self.first, 6, 6]}
        # ONNX Runtime complains of constants that nothing reads
        used = {i for node in self.nodes for i in node.input}
        weights = {name: array for name, array in weights.items() if name in used}
        return model_of(self.nodes, weights, inputs=inputs, outputs={self.value: ["n", "c", "h", "w"][: self.rank]})

    def features(self) -> None:
        """Average the positions away and put a classifier behind."""
        self.put("GlobalAveragePool")
        self.put("Flatten")
        self.layer("Gemm", (7, self.channels), 7, 0, transB=1)
        self.rank = 2


STEPS = {
    "conv": lambda net: net.conv(10 - net.channels if net.channels in {4, 6} else 4),
    "without bias": lambda net: net.conv(6, bias=False),
    "grouped": lambda net: net.conv(8, group=2),
    "depthwise": lambda net: net.conv(net.channels, group=net.channels),
    "transposed": lambda net: net.transposed(6),
    "grouped transposed": lambda net: net.transposed(4, group=2),
    "relu": lambda net: net.put("Relu"),
    "leaky": lambda net: net.put("LeakyRelu", alpha=0.2),
    "relu6": lambda net: net.put("Clip", "zero", "six"),
    "max": lambda net: net.put("MaxPool", kernel_shape=[2, 2], pads=[1, 1, 1, 1]),
    "average": lambda net: net.put("AveragePool", kernel_shape=[2, 2], pads=[1, 1, 1, 1], count_include_pad=1),
}


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.lists(st.sampled_from(sorted(STEPS)), min_size=2, max_size=8), st.booleans())
def test_no_network_changes_its_output(seed: int, steps: list[str], ends_in_features: bool) -> None:
    net = Chain(seed, 4)
    for step in steps:
        STEPS[step](net)
    if ends_in_features:
        net.features()
        net.put("Relu")
        net.layer("MatMul", (7, 3), 3, 1, bias=False)
    model = net.model()
    changed, _ = equalized(model)
    assert_same_output(model, changed, {"x": np.random.default_rng(1).normal(size=(2, 4, 6, 6)).astype(np.float32)})


def test_a_trained_network_keeps_its_output_and_the_touched_layers_are_listed(digits: Any) -> None:
    model, _, evaluation = digits
    changed, touched = equalized(model)
    assert touched == ["conv1", "conv2", "head"]
    assert_same_output(model, changed, {"image": evaluation["image"]})
    assert [node.name for node in changed.graph.node] == [
        "conv1",
        "relu1",
        "pool",
        "conv2",
        "relu2",
        "average",
        "flatten",
        "head",
    ]


def test_layers_with_a_residual_or_a_bounded_clip_between_them_are_left_alone() -> None:
    model = residual_cnn()
    changed, touched = equalized(model)
    # stem feeds two, branch ends in an Add, last in a Clip at 6
    assert touched == []
    np.testing.assert_array_equal(weights_of(changed)["last"], weights_of(model)["last"])


def test_the_two_products_of_a_feed_forward_block_are_equalized() -> None:
    model = two_matmuls()
    changed, touched = equalized(model)
    assert touched == ["up", "down"]
    up, down = np.abs(weights_of(changed)["up"]).max(axis=0), np.abs(weights_of(changed)["down"]).max(axis=1)
    np.testing.assert_allclose(up, down, rtol=1e-4)
    before = weights_of(model)
    product = np.abs(before["up"]).max(axis=0) * np.abs(before["down"]).max(axis=1)
    np.testing.assert_allclose(up, np.sqrt(product), rtol=1e-4)


def test_channels_of_zeros_stay_and_do_no_harm() -> None:
    net = Chain(0, 3)
    net.conv(4)
    net.put("Relu")
    net.conv(2)
    first, second = "w0", "w2"
    net.weights[first][1] = 0.0
    net.weights[f"{first}_b"][1] = 0.0
    net.weights[second][:, 2] = 0.0
    model = net.model()
    changed, _ = equalized(model)
    after = list(weights_of(changed).values())
    np.testing.assert_array_equal(after[0][1], 0.0)
    np.testing.assert_array_equal(after[0][2], net.weights[first][2])
    assert all(np.isfinite(w).all() for w in after)
    assert_same_output(model, changed, {"x": np.ones((2, 3, 6, 6), np.float32)})


def test_a_pruned_channel_with_a_bias_does_not_set_the_scale_of_all_activations() -> None:
    net = Chain(0, 3)
    net.conv(4)
    net.put("Relu")
    net.conv(2)
    net.weights["w0"][1] = 1e-9
    net.weights["w0_b"][:] = 1.0
    changed, _ = equalized(net.model())
    biases = {t.name: numpy_helper.to_array(t) for t in changed.graph.initializer}
    # weights alone would give s of about sqrt(1e-9 / 3), and a bias of 1 / s = 50,000
    assert np.abs(biases["w0_b_equalized"]).max() < 50.0


def per_tensor_db(model: onnx.ModelProto) -> dict[str, float]:
    """What one scale for each whole weight leaves of it."""
    found = {}
    for name, weight in weights_of(model).items():
        ratio = sqnr_db(weight, fake_quantize(weight, choose_weight_qparams(weight, INT8_WEIGHTS, axis=0)))
        assert ratio is not None
        found[name] = ratio
    return found


def depthwise_network(seed: int) -> Chain:
    net = Chain(seed, 3)
    for out in (16, 32, 32):
        net.conv(out)
        net.put("Relu")
        net.conv(out, group=out)
        net.put("Relu")
    net.features()
    return net


def skewed(net: Chain, rng: Any) -> onnx.ModelProto:
    """The same function, with factors of 2^U(-3, 3) pushed through every Relu."""
    layers = [node.input[1] for node in net.nodes if node.op_type in LAYERS]
    for one, two in pairwise(layers):
        factors = (2.0 ** rng.uniform(-3, 3, len(net.weights[one]))).astype(np.float32)
        net.weights[one] = net.weights[one] * np.expand_dims(factors, tuple(range(1, net.weights[one].ndim)))
        net.weights[f"{one}_b"] = net.weights[f"{one}_b"] * factors
        depthwise = net.weights[two].shape[1] == 1
        inverse = (1.0 / factors).reshape((-1, 1, 1, 1) if depthwise else (1, -1, 1, 1)[: net.weights[two].ndim])
        net.weights[two] = net.weights[two] * inverse
    return net.model()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_what_one_scale_per_tensor_lost_to_skewed_channels_comes_back(seed: int) -> None:
    rng = np.random.default_rng(seed)
    net = depthwise_network(seed)
    for node in net.nodes:
        if node.op_type in LAYERS:  # drop the skew that the chain itself makes
            name = node.input[1]
            fan_in = np.prod(net.weights[name].shape[1:])
            net.weights[name] = (rng.normal(size=net.weights[name].shape) / np.sqrt(fan_in)).astype(np.float32)
            net.weights[f"{name}_b"] = (rng.normal(size=len(net.weights[name])) * 0.1).astype(np.float32)
    twin = net.model()
    model = skewed(net, rng)
    feeds = {"x": rng.normal(size=(2, 3, 6, 6)).astype(np.float32)}
    assert_same_output(twin, model, feeds)
    natural, lost, restored = per_tensor_db(twin), per_tensor_db(model), per_tensor_db(equalized(model)[0])
    assert np.mean(list(lost.values())) < np.mean(list(natural.values())) - 5.0
    assert {name: db for name, db in restored.items() if db < natural[name] - 1.0} == {}


def skewed_digits(model: onnx.ModelProto) -> ir.Model:
    """The trained network, its batch norm folded, with factors of 2^U(-3, 3) pushed through its two Relus."""
    graph = lift_constants(ir.from_proto(model))
    fold_batch_norm(graph)
    rng = np.random.default_rng(0)
    nodes = {node.name: node for node in graph.graph}
    for one, two in pairwise(["conv1", "conv2", "head"]):
        weight, bias = (nodes[one].inputs[i].const_value.numpy() for i in (1, 2))
        following = nodes[two].inputs[1].const_value.numpy()
        factors = (2.0 ** rng.uniform(-3, 3, len(bias))).astype(np.float32)
        nodes[one].inputs[1].const_value = ir.tensor(weight * factors.reshape(-1, 1, 1, 1))
        nodes[one].inputs[2].const_value = ir.tensor(bias * factors)
        nodes[two].inputs[1].const_value = ir.tensor(following / factors.reshape((1, -1, 1, 1)[: following.ndim]))
    return graph


def per_tensor_accuracy(graph: ir.Model, calibration: Any, evaluation: Any) -> float:
    """With one scale for each weight and each activation, in ONNX Runtime."""
    placement = place_for_onnxruntime_cpu(graph, Schemes(UINT8_ACTIVATIONS, INT7_WEIGHTS))
    observed, names = with_observed_outputs(graph, placement.observed)
    session = ort.InferenceSession(observed.SerializeToString())
    values = dict(zip(names, session.run(list(names), calibration), strict=True)) | calibration
    qparams = {t: choose_qparams(values[t].min(), values[t].max(), UINT8_ACTIVATIONS) for t in placement.observed}
    quantized = graph.clone()
    insert_qdq(quantized, placement, qparams)
    return accuracy(quantized, evaluation)


def accuracy(graph: ir.Model, evaluation: Any) -> float:
    logits = run(ir.to_proto(graph), {"image": evaluation["image"]})
    return float((logits.argmax(axis=1) == evaluation["labels"]).mean())


def test_a_trained_network_with_skewed_channels_survives_one_scale_per_tensor(digits: Any) -> None:
    model, calibration, evaluation = digits
    graph = skewed_digits(model)
    as_float = accuracy(graph, evaluation)
    assert as_float > 0.9
    assert per_tensor_accuracy(graph, calibration, evaluation) < as_float - 0.1
    equalize(graph)
    assert per_tensor_accuracy(graph, calibration, evaluation) > as_float - 0.01

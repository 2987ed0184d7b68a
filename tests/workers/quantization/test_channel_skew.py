"""How unequal channels are, read off what equalization did to them."""

import numpy as np
import onnx_ir as ir
import pytest
from onnx import helper

from tests.workers.quantization.small_models import model_of
from workers.quantization.channel_skew import SKEWED, channel_skew
from workers.quantization.passes.equalize import equalize
from workers.quantization.passes.lift_constants import lift_constants

n = helper.make_node


def chain(*weights: np.ndarray) -> ir.Model:
    """Gemm, Relu, Gemm, Relu, ..: weights [out, in]."""
    nodes, last = [], "x"
    for number, _ in enumerate(weights):
        nodes.append(n("Gemm", [last, f"w{number}"], [f"h{number}"], name=f"layer{number}", transB=1))
        nodes.append(n("Relu", [f"h{number}"], [f"r{number}"], name=f"relu{number}"))
        last = f"r{number}"
    constants = {f"w{i}": w.astype(np.float32) for i, w in enumerate(weights)}
    first, final = weights[0].shape[1], weights[-1].shape[0]
    return lift_constants(
        ir.from_proto(model_of(nodes, constants, inputs={"x": ["n", first]}, outputs={last: ["n", final]}))
    )


def test_the_skew_is_the_median_of_the_layers_spreads_in_octaves() -> None:
    ones = np.ones((4, 4))
    before = chain(ones, ones, ones)
    # channels of layer 0 divided by 1, 2, 4, 8: octaves 0..3, a deviation of sqrt(1.25); of layer 1 all by 2: no spread
    after = chain(ones / np.array([[1.0], [2.0], [4.0], [8.0]]), ones / 2.0, ones)
    assert channel_skew(before, after, ["layer0"]) == pytest.approx(np.sqrt(1.25), rel=1e-6)
    assert channel_skew(before, after, ["layer1"]) == 0.0
    assert channel_skew(before, after, ["layer0", "layer1"]) == pytest.approx(np.sqrt(1.25) / 2, rel=1e-6)
    assert channel_skew(before, after, ["layer0", "layer1", "layer2"]) == 0.0


def test_without_layers_there_is_no_skew() -> None:
    model = chain(np.ones((2, 2)))
    assert channel_skew(model, model, []) == 0.0


def test_channels_that_are_zero_before_or_after_say_nothing() -> None:
    before, after = np.ones((4, 2)), np.ones((4, 2))
    before[0], after[1] = 0.0, 0.0
    after[2] = 0.25
    # log2(1/0.25) = 2 and log2(1/1) = 0: a deviation of 1
    assert channel_skew(chain(before), chain(after), ["layer0"]) == pytest.approx(1.0)
    assert channel_skew(chain(np.zeros((4, 2))), chain(np.zeros((4, 2))), ["layer0"]) == 0.0


@pytest.mark.parametrize(("octaves", "skewed"), [(0.0, False), (3.0, True)])
def test_scattered_channel_scales_count_as_skewed_and_ordinary_ones_do_not(octaves: float, skewed: bool) -> None:
    rng = np.random.default_rng(0)
    widths = (32, 48, 48, 24, 8)
    scales = [2.0 ** rng.uniform(-octaves, octaves, size=w) for w in widths[1:]]
    weights, into = [], np.ones(widths[0])
    for out, scale in zip(widths[1:], scales, strict=True):
        matrix = rng.normal(size=(out, len(into))) / np.sqrt(len(into))
        weights.append(scale[:, np.newaxis] * matrix / into)  # the function of the network stays what it was
        into = scale
    before = chain(*weights)
    after = before.clone()
    layers = equalize(after)
    assert (channel_skew(before, after, layers) >= SKEWED) is skewed

"""Which convolutions may use the whole range of their weights."""

import numpy as np
import pytest
from onnx import helper

from app.contracts.recipes.presets import PRESETS
from tests.workers.pipeline.jobs import prepared_for
from tests.workers.quantization.small_models import model_of
from workers.pipeline.methods.static.statistics import Statistics
from workers.pipeline.methods.static.weights import rounded_weights
from workers.protocol.reporter import Reporter
from workers.quantization.rounding.pair_limit import breaks_pair_limit
from workers.quantization.rounding.weight_rows import RowLayout


@pytest.mark.parametrize(
    ("inputs", "outputs", "group", "limited"),
    [
        (8, 8, 8, False),  # depthwise: these kernels widen their products first
        (8, 16, 8, True),  # two outputs for each input run in the ordinary kernels, which saturate
        (1, 8, 1, True),  # so does a first layer over grey images
        (8, 8, 1, True),
    ],
)
def test_only_plain_depthwise_weights_go_without_a_limit_on_pairs(
    reporter: Reporter, inputs: int, outputs: int, group: int, limited: bool
) -> None:
    weight = np.abs(np.random.default_rng(0).normal(size=(outputs, inputs // group, 3, 3))).astype(np.float32) + 1.0
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="conv", group=group),
        helper.make_node("GlobalAveragePool", ["c"], ["y"], name="pool"),
    ]
    model = model_of(nodes, {"w": weight}, inputs={"x": ["n", inputs, 8, 8]}, outputs={"y": ["n", outputs, 1, 1]})
    recipe = PRESETS["int8-fast"]
    rounded = rounded_weights(prepared_for(model, recipe), Statistics({}), {}, recipe, reporter)["conv"]
    assert rounded.limited_pairs == limited
    assert breaks_pair_limit(RowLayout(weight.shape, 0).rows(rounded.codes).astype(np.int8)) != limited

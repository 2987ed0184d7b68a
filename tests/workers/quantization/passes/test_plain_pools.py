from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import helper

from tests.workers.pipeline.jobs import quantized
from tests.workers.quantization.small_models import model_of, random_weights
from workers.quantization.passes.plain_pools import plain_pools

IMAGES = {"x": np.random.default_rng(0).normal(size=(16, 3, 12, 12)).astype(np.float32)}


def pooled(size: int = 800, **attributes: Any) -> onnx.ModelProto:
    """conv, average pool, transpose, flatten, gemm: [n, 3, 12, 12] -> [n, 5]."""
    n = helper.make_node
    nodes = [
        n("Conv", ["x", "w"], ["c"], name="conv", pads=[1, 1, 1, 1]),
        n("AveragePool", ["c"], ["p"], name="pool", kernel_shape=[3, 3], **attributes),
        n("Transpose", ["p"], ["m"], name="turn", perm=[0, 2, 3, 1]),
        n("Flatten", ["m"], ["f"], name="flat"),
        n("Gemm", ["f", "v"], ["y"], name="head"),
    ]
    weights = random_weights(np.random.default_rng(1), w=(8, 3, 3, 3), v=(size, 5))
    return model_of(nodes, weights, inputs={"x": ["n", 3, 12, 12]}, outputs={"y": ["n", 5]}, opset=19)


def reasons(result: Any) -> dict[str, str]:
    return {layer.node: layer.reason for layer in result.layers if not layer.quantized}


@pytest.mark.parametrize(
    ("model", "touched", "kept"),
    [
        (pooled(), [], False),
        (pooled(dilations=[1, 1]), ["pool"], False),
        (pooled(size=8 * 10 * 8, dilations=[1, 2]), [], True),
    ],
)
def test_only_dilations_of_one_are_dropped(model: onnx.ModelProto, touched: list[str], kept: bool) -> None:
    found = ir.from_proto(model)
    assert plain_pools(found) == touched
    (pool,) = (node for node in found.graph if node.op_type == "AveragePool")
    assert ("dilations" in pool.attributes) == kept


def test_a_pool_that_spells_out_dilations_of_one_is_quantized_like_one_that_does_not(tmp_path: Path) -> None:
    """ONNX Runtime could not load the model that we delivered."""
    results = []
    for name, attributes in {"plain": {}, "spelled": {"dilations": [1, 1]}}.items():
        folder = tmp_path / name
        folder.mkdir()
        results.append(quantized(folder, pooled(**attributes), IMAGES))
    assert reasons(results[0]) == reasons(results[1]) == {}
    assert results[0].variants[1].metrics.sqnr_db == results[1].variants[1].metrics.sqnr_db > 30


def test_what_reads_a_dilated_pool_stays_in_float_and_says_so(tmp_path: Path) -> None:
    """12 - (3 - 1) * 2 = 8 rows and columns are left, of 8 channels: 512."""
    result = quantized(tmp_path, pooled(size=512, dilations=[2, 2]), IMAGES)
    assert "dilations" in reasons(result)["head"]
    assert result.variants[1].metrics.sqnr_db > 30

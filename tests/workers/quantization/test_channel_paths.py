from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import helper

from tests.workers.quantization.small_models import model_of, random_weights
from workers.quantization.channel_paths import ChannelPath, channel_paths
from workers.quantization.passes.lift_constants import lift_constants

n = helper.make_node

IMAGE, FEATURES = ["n", "c", "h", "w"], ["n", "f"]


def paths_between(
    *middle: Any, second: Any = None, outputs: Any = None, opset: int = 17, **more: Any
) -> list[ChannelPath]:
    """Conv 'one' of 4 channels, the nodes given (from 'c' to 'd'), then 'two'."""
    weights = random_weights(
        np.random.default_rng(0), w=(4, 3, 1, 1), v=(2, 4, 1, 1), flat=(2, 4 * 36), few=(2, 4), slope=(4, 1, 1)
    )
    weights |= {name: np.asarray(value) for name, value in more.items()}
    nodes = [n("Conv", ["x", "w"], ["c"], name="one"), *middle, second or n("Conv", ["d", "v"], ["y"], name="two")]
    model = model_of(
        nodes,
        weights,
        inputs={"x": [5, 3, 6, 6]},
        outputs=outputs or {"y": IMAGE if second is None else FEATURES},
        opset=opset,
    )
    return channel_paths(lift_constants(ir.from_proto(model)).graph)


def gemm(weight: str) -> Any:
    return n("Gemm", ["d", weight], ["y"], name="two", transB=1)


F = np.float32

PASSES = {
    "relu": [n("Relu", ["c"], ["d"])],
    "leaky relu": [n("LeakyRelu", ["c"], ["d"], alpha=0.1)],
    "prelu": [n("PRelu", ["c", "slope"], ["d"])],
    "clip at zero": [n("Clip", ["c", "zero"], ["d"])],
    "clip below infinity": [n("Clip", ["c", "zero", "infinity"], ["d"])],
    "negative half": [n("Clip", ["c", "", "zero"], ["d"])],
    "max pool": [n("MaxPool", ["c"], ["d"], kernel_shape=[2, 2])],
    "average pool": [n("AveragePool", ["c"], ["d"], kernel_shape=[2, 2], pads=[1, 1, 1, 1])],
    "several": [n("Relu", ["c"], ["r"]), n("MaxPool", ["r"], ["m"], kernel_shape=[2, 2]), n("Relu", ["m"], ["d"])],
}

STOPS = {
    "clip at six": [n("Clip", ["c", "zero", "six"], ["d"])],
    "clip at a computed bound": [n("ReduceMax", ["c"], ["b"], keepdims=0), n("Clip", ["c", "b"], ["d"])],
    "sigmoid": [n("Sigmoid", ["c"], ["d"])],
    "transpose": [n("Transpose", ["c"], ["d"], perm=[0, 1, 3, 2])],
    "residual": [n("Add", ["c", "c"], ["d"])],
    "two readers": [n("Relu", ["c"], ["r"]), n("Abs", ["r"], ["s"]), n("Add", ["r", "s"], ["d"])],
    "as a slope": [n("PRelu", ["x0", "c"], ["d"])],
}

BOUNDS = {"zero": F(0), "six": F(6), "infinity": F(np.inf), "x0": np.ones((1, 4, 6, 6), F)}


@pytest.mark.parametrize("middle", PASSES.values(), ids=list(PASSES))
def test_scales_pass_through(middle: Any) -> None:
    (path,) = paths_between(*middle, **BOUNDS)
    assert (path.first.name, path.second.name, path.repeats) == ("one", "two", 1)


@pytest.mark.parametrize("middle", STOPS.values(), ids=list(STOPS))
def test_scales_stop_at(middle: Any) -> None:
    assert paths_between(*middle, **BOUNDS) == []


def test_nobody_outside_may_see_the_scale() -> None:
    relu = n("Relu", ["c"], ["d"])
    assert len(paths_between(relu)) == 1
    assert paths_between(relu, outputs={"y": IMAGE, "d": IMAGE}) == []
    assert paths_between(relu, outputs={"y": IMAGE, "c": IMAGE}) == []


FLATTENED = {
    "flatten": ([n("Flatten", ["c"], ["d"])], 36),
    "reshape, rows kept": ([n("Reshape", ["c", "keep"], ["d"])], 36),
    "reshape, rows counted": ([n("Reshape", ["c", "count"], ["d"])], 36),
    "reshape, rows left over": ([n("Reshape", ["c", "rest"], ["d"])], 36),
    "global average": ([n("GlobalAveragePool", ["c"], ["g"]), n("Flatten", ["g"], ["d"])], 1),
    "mean": ([n("ReduceMean", ["c"], ["d"], axes=[2, 3], keepdims=0)], 1),
    "mean from behind": ([n("ReduceMean", ["c"], ["d"], axes=[-1, -2], keepdims=0)], 1),
    "mean, kept": ([n("ReduceMean", ["c"], ["g"], axes=[2, 3]), n("Flatten", ["g"], ["d"])], 1),
}
SHAPES = {
    "keep": np.array([0, -1]),
    "count": np.array([5, -1]),
    "rest": np.array([-1, 144]),
    "mixed": np.array([-1, 4]),
}


@pytest.mark.parametrize(("middle", "repeats"), FLATTENED.values(), ids=list(FLATTENED))
def test_flattened_channels_are_runs_of_features(middle: Any, repeats: int) -> None:
    weights = random_weights(np.random.default_rng(0), w=(4, 3, 1, 1), flat=(2, 4 * repeats)) | SHAPES
    nodes = [n("Conv", ["x", "w"], ["c"], name="one"), *middle, gemm("flat")]
    model = model_of(nodes, weights, inputs={"x": [5, 3, 6, 6]}, outputs={"y": FEATURES})
    (path,) = channel_paths(lift_constants(ir.from_proto(onnx.shape_inference.infer_shapes(model))).graph)
    assert path.repeats == repeats


def test_features_that_mix_channels_are_no_path() -> None:
    assert paths_between(n("Reshape", ["c", "mixed"], ["d"]), second=gemm("few"), **SHAPES) == []
    assert paths_between(n("Flatten", ["c"], ["d"], axis=2), second=gemm("wide"), wide=np.ones((2, 36), F)) == []


def test_a_bias_added_behind_a_matmul_is_part_of_the_path() -> None:
    weights = random_weights(np.random.default_rng(0), w=(3, 4), v=(4, 2), b=(4,))
    nodes = [
        n("MatMul", ["x", "w"], ["m"], name="one"), n("Add", ["b", "m"], ["a"], name="bias"),
        n("Relu", ["a"], ["r"]), n("MatMul", ["r", "v"], ["y"], name="two"),
    ]  # fmt: skip
    model = model_of(nodes, weights, inputs={"x": [5, 7, 3]}, outputs={"y": [5, 7, 2]})
    (path,) = channel_paths(lift_constants(ir.from_proto(model)).graph)
    assert [(node.name, index) for node, index in path.addends] == [("bias", 0)]


@pytest.mark.parametrize("broken", ["shared", "not finite", "half"])
def test_weights_that_are_shared_or_unfit_are_left_alone(broken: str) -> None:
    weight = np.ones((3, 3), np.float16 if broken == "half" else F)
    if broken == "not finite":
        weight[0, 0] = np.nan
    other = "w" if broken == "shared" else "v"
    kind = 10 if broken == "half" else 1
    nodes = [
        n("Cast", ["x"], ["i"], to=kind), n("MatMul", ["i", "w"], ["m"], name="one"),
        n("MatMul", ["m", other], ["o"], name="two"), n("Cast", ["o"], ["y"], to=1),
    ]  # fmt: skip
    weights = {"w": weight, "v": np.ones((3, 3), weight.dtype)}
    model = model_of(nodes, weights, inputs={"x": [5, 3]}, outputs={"y": [5, 3]})
    assert channel_paths(lift_constants(ir.from_proto(model)).graph) == []

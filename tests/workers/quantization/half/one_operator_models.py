"""Models of one operator, for those that ONNX's backend node tests lack, or test in other types than float32."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT


@dataclass(frozen=True)
class Case:
    """As ONNX's own are."""

    name: str
    model: onnx.ModelProto
    data_sets: list[tuple[list[Any], list[Any]]]


def one_operator(
    op_type: str,
    *shapes: tuple[int, ...],
    constants: tuple[Any, ...] = (),
    outputs: tuple[int, ...] = (FLOAT,),
    opset: int = 17,
    **attributes: Any,
) -> onnx.ModelProto:
    """Float32 inputs of `shapes`, then `constants`; `outputs` are element types.

    ONNX Runtime has the random operators up to opset 21.
    """
    read = [f"x{i}" for i in range(len(shapes))] + [f"c{i}" for i in range(len(constants))]
    node = helper.make_node(op_type, read, [f"y{i}" for i in range(len(outputs))], name=op_type, **attributes)
    graph = helper.make_graph(
        [node],
        op_type,
        [helper.make_tensor_value_info(f"x{i}", FLOAT, shape) for i, shape in enumerate(shapes)],
        [helper.make_tensor_value_info(f"y{i}", element, None) for i, element in enumerate(outputs)],
        [numpy_helper.from_array(np.asarray(x), f"c{i}") for i, x in enumerate(constants)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    return onnx.shape_inference.infer_shapes(model)  # a graph's outputs have to have shapes


def cases() -> list[Case]:
    picture = (1, 2, 6, 6)
    models = [
        one_operator("AveragePool", picture, kernel_shape=[2, 2]),
        one_operator("LpPool", picture, kernel_shape=[2, 2]),
        one_operator("MaxPool", picture, kernel_shape=[2, 2]),
        one_operator("GlobalLpPool", picture),
        one_operator("MaxRoiPool", picture, constants=(np.float32([[0, 0, 0, 3, 3]]),), pooled_shape=[2, 2]),
        one_operator("CumSum", (3, 4), constants=(np.int64(1),)),
        one_operator("CumProd", (3, 4), constants=(np.int64(1),), opset=26),
        one_operator("Einsum", (3, 4), (4, 5), equation="ij,jk->ik"),
        one_operator("Equal", (3, 4), (3, 4), outputs=(TensorProto.BOOL,)),
        one_operator("NonZero", (3, 4), outputs=(TensorProto.INT64,)),
        one_operator("Trilu", (4, 4)),
        one_operator("Shrink", (3, 4)),
        one_operator("Multinomial", (1, 3), outputs=(TensorProto.INT32,), sample_size=1, seed=1.0),
        one_operator("RandomNormal", shape=[3, 4], seed=1.0),
        one_operator("RandomUniform", shape=[3, 4], seed=1.0),
        one_operator("RandomNormalLike", (3, 4), seed=1.0),
        one_operator("RandomUniformLike", (3, 4), seed=1.0),
        one_operator("RandomNormalLike", (3, 4), seed=1.0, dtype=FLOAT),
        one_operator("Bernoulli", (3, 4), seed=1.0),
        one_operator("Bernoulli", (3, 4), seed=1.0, dtype=FLOAT),
        one_operator("EyeLike", (3, 4)),
        one_operator("EyeLike", (3, 4), dtype=FLOAT),
        one_operator("BitCast", (3, 4), outputs=(TensorProto.INT32,), to=TensorProto.INT32, opset=26),
        one_operator("Cast", (3, 4), outputs=(TensorProto.DOUBLE,), to=TensorProto.DOUBLE),
        one_operator("CastLike", (3, 4), constants=(np.float64(0),), outputs=(TensorProto.DOUBLE,)),
        one_operator("ConstantOfShape", constants=(np.int64([2, 3]),)),
        one_operator("HannWindow", constants=(np.int64(8),)),
        one_operator("HammingWindow", constants=(np.int64(8),)),
        one_operator("BlackmanWindow", constants=(np.int64(8),)),
        one_operator(
            "MelWeightMatrix",
            constants=(np.int64(4), np.int64(16), np.int64(8000), np.float32(0), np.float32(4000)),
        ),
        one_operator("QuantizeLinear", (3, 4), constants=(np.float32(0.1), np.uint8(7)), outputs=(TensorProto.UINT8,)),
        one_operator("DequantizeLinear", constants=(np.uint8([1, 2]), np.float32(0.1), np.uint8(7))),
    ]
    return [Case(f"one_{m.graph.name.lower()}_{i}", m, [_data(m)]) for i, m in enumerate(models)]


def _data(model: onnx.ModelProto) -> tuple[list[Any], list[Any]]:
    random = np.random.default_rng(0)
    shapes = [[d.dim_value for d in v.type.tensor_type.shape.dim] for v in model.graph.input]
    inputs = [random.uniform(0.05, 0.95, shape).astype(np.float32) for shape in shapes]
    try:
        session = ort.InferenceSession(model.SerializeToString())
    except Exception:  # noqa: BLE001  # ONNX Runtime's errors are of many types; such a model is not run
        return inputs, []
    return inputs, session.run(None, {f"x{i}": x for i, x in enumerate(inputs)})

from typing import Any

import numpy as np
import onnx
import pytest

from workers.ingestion.onnx_model.shapes import note_shapes


def refuse_warnings(code: str, detail: str) -> None:
    raise AssertionError(f"{code}: {detail}")


def normalized(**attributes: Any) -> onnx.ModelProto:
    """MeanVarianceNormalization, which the standard writes as a function of its attribute, before a product."""
    nodes = [
        onnx.helper.make_node("MeanVarianceNormalization", ["x"], ["m"], name="norm", **attributes),
        onnx.helper.make_node("Flatten", ["m"], ["f"], name="flat"),
        onnx.helper.make_node("MatMul", ["f", "w"], ["y"], name="product"),
    ]
    values = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in (("x", [4, 3, 2, 2]), ("y", [4, 2]))
    ]
    weight = onnx.numpy_helper.from_array(np.ones((12, 2), np.float32), "w")
    graph = onnx.helper.make_graph(nodes, "normalized", values[:1], values[1:], [weight])
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=9)


@pytest.mark.parametrize("attributes", [{}, {"axes": [0, 2, 3]}])
def test_an_attribute_that_is_left_out_does_not_stop_inference_and_stays_left_out(attributes: Any) -> None:
    model = normalized(**attributes)
    note_shapes(model, refuse_warnings)
    assert [len(node.attribute) for node in model.graph.node] == [len(attributes), 0, 0]
    noted = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in model.graph.value_info}
    assert noted == {"m": [4, 3, 2, 2], "f": [4, 12]}

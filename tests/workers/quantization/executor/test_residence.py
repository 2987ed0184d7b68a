"""What the host works out by itself: shown on torch's meta device, whose tensors have shapes and no values.

Any look at a value that lies on the device raises there, where CUDA would wait for it.
"""

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from onnx import TensorProto, helper

from tests.real_data import MAGIKA, READERS
from tests.workers.quantization.executor.exported_models import batch_norm_cnn, text_model, vision_transformer
from tests.workers.quantization.small_models import model_of
from workers.quantization.executor.executor import OperatorFailed
from workers.quantization.executor.graph_module import GraphModule

n = helper.make_node


def _tokens(batch: int, length: int) -> Any:
    return torch.zeros(batch, length, dtype=torch.int64, device="meta")


@pytest.mark.parametrize("dynamo", [False, True], ids=["legacy", "dynamo"])
def test_a_transformer_asks_its_device_for_nothing(dynamo: bool) -> None:
    module = GraphModule(text_model("bert", dynamo=dynamo), device="meta")
    (hidden,) = module({"ids": _tokens(3, 5), "mask": _tokens(3, 5)}).values()
    assert hidden.device.type == "meta"
    assert hidden.shape == (3, 5, 32)


@pytest.mark.parametrize("path", [MAGIKA, *READERS], ids=lambda path: path.name)
def test_networks_from_packages_ask_their_device_for_nothing(path: Any) -> None:
    module = GraphModule(ir.load(path), device="meta")
    shape, dtype = (
        ((2, 2048), torch.int32) if path == MAGIKA else ((2, 3, 64 if "det" in path.name else 48, 160), torch.float32)
    )
    (y,) = module({module.inputs[0]: torch.zeros(shape, dtype=dtype, device="meta")}).values()
    assert y.shape[0] == 2


def test_vision_networks_ask_their_device_for_nothing() -> None:
    for model, shape in ((vision_transformer(), (3, 3, 32, 32)), (batch_norm_cnn(), (3, 1, 8, 8))):
        (y,) = GraphModule(model, device="meta")({"image": torch.zeros(shape, device="meta")}).values()
        assert y.shape[0] == 3


def test_a_number_computed_from_data_has_to_be_waited_for() -> None:
    nodes = [
        n("ReduceSum", ["x"], ["total"], keepdims=0),
        n("Cast", ["total"], ["count"], to=TensorProto.INT64),
        n("Range", ["zero", "count", "one"], ["y"]),
    ]
    weights = {"zero": np.asarray(np.int64(0)), "one": np.asarray(np.int64(1))}
    proto = model_of(nodes, weights, inputs={"x": [3]}, outputs={})
    proto.graph.output.append(onnx.ValueInfoProto(name="y"))
    model = ir.from_proto(proto)
    assert GraphModule(model)({"x": torch.ones(3)})["y"].tolist() == [0, 1, 2]
    with pytest.raises(OperatorFailed):
        GraphModule(model, device="meta")({"x": torch.ones(3, device="meta")})


def test_a_constant_that_host_and_device_read_is_kept_on_both() -> None:
    """Position ids: a range as long as the input is added to, and a shape that the same constant is part of."""
    nodes = [
        n("Shape", ["x"], ["shape"]),
        n("Add", ["shape", "one"], ["longer"]),
        n("ConstantOfShape", ["longer"], ["zeros"]),
        n("Cast", ["one"], ["real"], to=TensorProto.FLOAT),
        n("Add", ["zeros", "real"], ["ones"]),
        n("Reshape", ["x", "one_row"], ["flat"]),
        n("Gather", ["flat", "one"], ["second"], axis=1),
        n("Add", ["ones", "second"], ["y"]),
    ]
    weights = {"one": np.int64([1]), "one_row": np.int64([1, -1])}
    proto = model_of(nodes, weights, inputs={"x": [2, 3]}, outputs={})
    proto.graph.output.append(onnx.ValueInfoProto(name="y"))
    model = ir.from_proto(proto)
    assert GraphModule(model, device="meta")({"x": torch.zeros(2, 3, device="meta")})["y"].shape == (3, 4)
    got = GraphModule(model)({"x": torch.arange(6.0).reshape(2, 3)})["y"]
    assert got.tolist() == [[2.0] * 4] * 3  # 1 + x[0, 1]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU; the tests on the meta device are the twin")
def test_a_transformer_runs_on_a_gpu_without_waiting_for_it() -> None:
    model = text_model("gpt2")
    module = GraphModule(model, device="cuda")
    feeds = {"ids": torch.arange(15).reshape(3, 5), "mask": torch.ones(3, 5, dtype=torch.int64)}
    on_gpu = {name: tensor.cuda() for name, tensor in feeds.items()}
    torch.cuda.set_sync_debug_mode("error")
    try:
        got = module(on_gpu)[module.outputs[0]]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    torch.testing.assert_close(got.cpu(), GraphModule(model)(feeds)[module.outputs[0]], rtol=1e-3, atol=1e-3)

"""Networks in the shape of those people upload, with random weights: a BERT, a ResNet, a depthwise CNN, a U-shape."""

import io
import warnings
from functools import cache
from typing import Any

import numpy as np
import onnx
from onnx import helper

from tests.workers.quantization.small_models import model_of


@cache
def bert() -> onnx.ModelProto:
    """Two layers of width 32 with a pooler, as torch's legacy exporter writes transformers' own class."""
    import torch
    from transformers import BertConfig, BertModel

    class Pooled(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            sizes = {"vocab_size": 64, "hidden_size": 32, "intermediate_size": 64, "max_position_embeddings": 32}
            layers = {"num_hidden_layers": 2, "num_attention_heads": 2, "attn_implementation": "eager"}
            self.bert = BertModel(BertConfig(**sizes, **layers)).eval()

        def forward(self, ids: Any, mask: Any) -> Any:
            return self.bert(input_ids=ids, attention_mask=mask).pooler_output

    torch.manual_seed(0)
    file, sample = io.BytesIO(), torch.ones(2, 8, dtype=torch.long)
    axes = {0: "n", 1: "t"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter announces its own retirement
        torch.onnx.export(
            Pooled(), (sample, sample), file, dynamo=False, opset_version=17, input_names=["ids", "mask"],
            output_names=["pooled"], dynamic_axes={"ids": axes, "mask": axes},
        )  # fmt: skip
    return onnx.load_from_string(file.getvalue())


class Layers:
    """Nodes and He-scaled weights, collected line by line."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.weights: dict[str, Any] = {}
        self._rng = np.random.default_rng(3)

    def add(self, op_type: str, name: str, *inputs: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op_type, list(inputs), [f"{name}_out"], name=name, **attributes))
        return f"{name}_out"

    def weighted(self, op_type: str, name: str, source: str, *shape: int, fan_in: int, **attributes: Any) -> str:
        channels = shape[1] if op_type == "ConvTranspose" else shape[0]
        weight = self._rng.normal(size=shape) * np.sqrt(2.0 / fan_in)
        self.weights[f"{name}_w"] = weight.astype(np.float32)
        self.weights[f"{name}_b"] = (self._rng.normal(size=channels) * 0.1).astype(np.float32)
        return self.add(op_type, name, source, f"{name}_w", f"{name}_b", **attributes)

    def conv(
        self, name: str, source: str, out: int, into: int, size: int = 3, *, group: int = 1, stride: int = 1
    ) -> str:
        fan_in = into // group * size * size
        return self.weighted(
            "Conv", name, source, out, into // group, size, size, fan_in=fan_in,
            pads=[size // 2] * 4, group=group, strides=[stride, stride],
        )  # fmt: skip

    def model(self, result: str, shape: list[Any]) -> onnx.ModelProto:
        return model_of(self.nodes, self.weights, inputs={"image": ["n", 3, 16, 16]}, outputs={result: shape})


def resnet() -> onnx.ModelProto:
    """Stem, a block with an identity shortcut, one with a projection, average pool, classifier."""
    n = Layers()
    stem = n.add(
        "MaxPool", "pool", n.add("Relu", "relu0", n.conv("stem", "image", 8, 3)), kernel_shape=[2, 2], strides=[2, 2]
    )
    a = n.conv("a2", n.add("Relu", "relu_a1", n.conv("a1", stem, 8, 8)), 8, 8)
    block = n.add("Relu", "relu_a", n.add("Add", "add_a", a, stem))
    b = n.conv("b2", n.add("Relu", "relu_b1", n.conv("b1", block, 16, 8, stride=2)), 16, 16)
    shortcut = n.conv("projection", block, 16, 8, 1, stride=2)
    last = n.add("Relu", "relu_b", n.add("Add", "add_b", shortcut, b))
    flat = n.add("Flatten", "flatten", n.add("GlobalAveragePool", "average", last))
    return n.model(n.weighted("Gemm", "head", flat, 5, 16, fan_in=16, transB=1), ["n", 5])


def depthwise() -> onnx.ModelProto:
    """Two depthwise-separable blocks with Relu6, the second inside an inverted residual with a linear bottleneck."""
    n = Layers()
    n.weights |= {"zero": np.asarray(0.0, np.float32), "six": np.asarray(6.0, np.float32)}

    def relu6(name: str, source: str) -> str:
        return n.add("Clip", name, source, "zero", "six")

    stem = relu6("clip0", n.conv("stem", "image", 8, 3, stride=2))
    narrow = n.conv("point1", relu6("clip1", n.conv("depth1", stem, 8, 8, group=8)), 8, 8, 1)
    wide = relu6("clip2", n.conv("expand", narrow, 16, 8, 1))
    deep = relu6("clip3", n.conv("depth2", wide, 16, 16, group=16))
    total = n.add("Add", "residual", narrow, n.conv("project", deep, 8, 16, 1))
    flat = n.add("Flatten", "flatten", n.add("GlobalAveragePool", "average", total))
    return n.model(n.weighted("Gemm", "head", flat, 5, 8, fan_in=8, transB=1), ["n", 5])


def u_shape() -> onnx.ModelProto:
    """Down, up through a ConvTranspose, joined with the skip connection by Concat; one Concat inside another."""
    n = Layers()
    top = n.add("Relu", "relu1", n.conv("enter", "image", 4, 3))
    low = n.add("Relu", "relu2", n.conv("down", top, 8, 4, stride=2))
    up = n.weighted("ConvTranspose", "up", low, 8, 4, 2, 2, fan_in=8, strides=[2, 2])
    both = n.add("Concat", "join", up, top, axis=1)
    more = n.add("Relu", "relu3", n.conv("mix", both, 4, 8))
    dense = n.add("Concat", "dense_join", both, more, axis=1)
    return n.model(n.conv("out", dense, 2, 12, 1), ["n", 2, 16, 16])

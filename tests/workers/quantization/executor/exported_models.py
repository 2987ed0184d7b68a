"""Small networks as PyTorch's exporters write them, with weights drawn at random."""

import functools
import io
import logging
import warnings
from collections.abc import Mapping
from typing import Any

import onnx
import onnx_ir as ir
import torch
from transformers import (
    BertConfig,
    BertModel,
    DistilBertConfig,
    DistilBertModel,
    GPT2Config,
    GPT2Model,
    ViTConfig,
    ViTModel,
)

VOCABULARY = 99
_SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 37}
_EAGER = {"attn_implementation": "eager"}


class _FirstOutput(torch.nn.Module):
    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: Any) -> Any:
        named = {"attention_mask": inputs[1]} if len(inputs) > 1 else {}
        return self.network(inputs[0], **named)[0]


def text_network(kind: str) -> Any:
    torch.manual_seed(0)
    match kind:
        case "bert":
            return BertModel(BertConfig(vocab_size=VOCABULARY, **_SIZES, **_EAGER))
        case "distilbert":
            sizes = {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 37}
            return DistilBertModel(DistilBertConfig(vocab_size=VOCABULARY, **sizes, **_EAGER))
        case "gpt2":
            sizes = {"n_embd": 32, "n_layer": 2, "n_head": 4, "bos_token_id": 0, "eos_token_id": 0}
            return GPT2Model(GPT2Config(vocab_size=VOCABULARY, use_cache=False, **sizes, **_EAGER))
    raise ValueError(kind)


def vision_transformer() -> ir.Model:
    torch.manual_seed(0)
    network = ViTModel(ViTConfig(image_size=32, patch_size=8, **_SIZES, **_EAGER))
    return exported(_FirstOutput(network), {"image": torch.zeros(2, 3, 32, 32)}, dynamic={"image": ("batch",)})


@functools.cache  # the dynamo exporter takes ten seconds
def text_model(kind: str, *, dynamo: bool = False) -> ir.Model:
    """Inputs ids and mask, [batch, sequence] int64 both; one output, the hidden states."""
    inputs = {"ids": torch.ones(2, 7, dtype=torch.int64), "mask": torch.ones(2, 7, dtype=torch.int64)}
    dynamic = {"ids": ("batch", "sequence"), "mask": ("batch", "sequence")}
    return exported(_FirstOutput(text_network(kind)), inputs, dynamic=dynamic, dynamo=dynamo)


def batch_norm_cnn() -> ir.Model:
    """Convolutions with strides, groups and batch normalization, whose statistics are not those of a new layer."""
    torch.manual_seed(0)
    layers = torch.nn.Sequential(
        torch.nn.Conv2d(1, 8, 3, padding=1), torch.nn.BatchNorm2d(8), torch.nn.ReLU6(), torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(8, 8, 3, padding=1, groups=8, stride=2), torch.nn.BatchNorm2d(8), torch.nn.Hardswish(),
        torch.nn.AvgPool2d(2, ceil_mode=True), torch.nn.Flatten(), torch.nn.Linear(8, 10),
    )  # fmt: skip
    for layer in layers:
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.5, 2.0)
    return exported(layers, {"image": torch.zeros(2, 1, 8, 8)}, dynamic={"image": ("batch",)})


def exported(
    network: Any, inputs: Mapping[str, Any], *, dynamic: Mapping[str, tuple[str, ...]], dynamo: bool = False
) -> ir.Model:
    """The exporter warns about its own deprecation and about each shape that the network asks for."""
    axes = {name: dict(enumerate(names)) for name, names in dynamic.items()}
    arguments = tuple(inputs.values())
    network.eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        if dynamo:
            shapes = (tuple({i: torch.export.Dim(n) for i, n in axes[name].items()} for name in inputs),)
            program = torch.onnx.export(
                network, arguments, dynamo=True, input_names=list(inputs), dynamic_shapes=shapes, verbose=False
            )
            return ir.from_proto(program.model_proto)
        file = io.BytesIO()
        torch.onnx.export(
            network,
            arguments,
            file,
            dynamo=False,
            input_names=list(inputs),
            dynamic_axes=axes,
            opset_version=17,
            training=torch.onnx.TrainingMode.PRESERVE,
            do_constant_folding=False,  # else it folds batch normalization
        )
    return ir.from_proto(onnx.load_from_string(file.getvalue()))

"""The torch graph module as an executor: arrays in, arrays out, no gradients."""

from collections.abc import Mapping, Sequence

import onnx_ir as ir
import torch

from workers.quantization.executor.element_types import to_numpy, to_torch
from workers.quantization.executor.executor import Array, checked_feeds
from workers.quantization.executor.graph_module import GraphModule


class TorchExecutor:
    def __init__(self, model: ir.Model, *, device: str = "cpu") -> None:
        """Raises OperatorNotSupported."""
        self.module = GraphModule(model, device=device).eval()
        self.name = f"torch-{self.module.device.type}"
        self.inputs, self.outputs = self.module.inputs, self.module.outputs

    def run(self, feeds: Mapping[str, Array], outputs: Sequence[str] | None = None) -> dict[str, Array]:
        arrays = checked_feeds(feeds, self.inputs)
        with torch.inference_mode():
            values = self.module({name: to_torch(array) for name, array in arrays.items()}, outputs)
            return {name: to_numpy(value) for name, value in values.items()}

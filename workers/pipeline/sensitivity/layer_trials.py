"""Every layer on its own, quantized beside float, over a few samples: its channels' mean error, and its figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from workers.ingestion.data.samples import Batch
from workers.pipeline.feeding.feeder import Feeder
from workers.pipeline.feeding.padding import real_values
from workers.pipeline.sensitivity.division import Division
from workers.protocol.reporter import Reporter
from workers.quantization.affine import QParams, fake_quantize
from workers.quantization.executor.onnxruntime_session import OnnxRuntimeSession, loaded
from workers.quantization.graph.constants import float_constant_of
from workers.quantization.graph.isolated_operator import INPUTS, OUTPUT, isolated
from workers.quantization.graph.observation import also_giving_out
from workers.quantization.graph.weighted_operators import WeightSite
from workers.quantization.layer_trial import LayerError
from workers.quantization.placement.sites import tensors_of
from workers.quantization.rounding.rounded_weight import RoundedWeight
from workers.targets.preparation import Prepared

TRIAL_SAMPLES = 64
"""Means of channels are known to a few percent of their spread by then: tens of thousands of positions."""

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class _Layer:
    """One operator by itself, with its weight and what rounding leaves of it."""

    site: WeightSite
    session: OnnxRuntimeSession
    float_inputs: Mapping[str, FloatArray]
    rounded_inputs: Mapping[str, FloatArray]
    channel_axis: int
    errors: list[LayerError]
    """One for each way to round its input."""

    def observe(self, x: FloatArray, ways: Sequence[tuple[QParams, FloatArray]]) -> None:
        """ways: qparams, and what is left of x with them."""
        y = self._run(x, self.float_inputs)
        for error, (qparams, rounded) in zip(self.errors, ways, strict=True):
            error.observe_input(x, rounded, qparams)
            error.observe_output(y, self._run(rounded, self.rounded_inputs), channel_axis=self.channel_axis)

    def _run(self, x: FloatArray, constants: Mapping[str, FloatArray]) -> FloatArray:
        feeds: Batch = {INPUTS[0]: x, **constants}
        return np.asarray(self.session.run(feeds)[OUTPUT], np.float32)


@dataclass(frozen=True)
class LayerTrials:
    """What the layers of one graph cost, with one set of weights, for as many ways to round their inputs as asked for.

    Inputs come from the float model, which runs once for all ways and all layers that read a tensor.
    """

    prepared: Prepared
    weights: Mapping[str, RoundedWeight]
    ways: Mapping[str, Mapping[str, QParams]]
    """By name; each has the qparams by tensor."""
    threads: int

    def run(
        self, feeder: Feeder, reporter: Reporter, *, division: Division, part: int | None, rows: int
    ) -> dict[str, dict[str, LayerError]]:
        """Errors by way and operator. part: whose samples are tried; None: everybody's."""
        by_tensor = {
            tensor: [self._layer(site) for site in sites]
            for tensor, sites in tensors_of(self.prepared.model.graph, self.prepared.placement).items()
        }
        watched, _ = also_giving_out(self.prepared.model, by_tensor)
        session = loaded(watched, threads=self.threads)
        total = min(TRIAL_SAMPLES, division.total)
        done = 0
        for fed in division.batches(feeder, rows, part=part, samples=total):
            feeds, tokens = feeder.padding.read(fed.feeds)
            outputs = session.run(feeds, [tensor for tensor in by_tensor if tensor not in feeds])
            for tensor, layers in by_tensor.items():
                x = np.asarray(feeds[tensor] if tensor in feeds else outputs[tensor], np.float32)
                x = real_values(x, tokens)
                if x.size:
                    self._observe(tensor, layers, np.ascontiguousarray(x))
            done += fed.rows
            reporter.progress(min(done, total), total, "samples")
        layers = [layer for some in by_tensor.values() for layer in some]
        return {way: {layer.site.node: layer.errors[i] for layer in layers} for i, way in enumerate(self.ways)}

    def _observe(self, tensor: str, layers: list[_Layer], x: FloatArray) -> None:
        scale_of = self.prepared.placement.pair_of(tensor).scale_of
        ways = [(qparams[scale_of], fake_quantize(x, qparams[scale_of])) for qparams in self.ways.values()]
        for layer in layers:
            layer.observe(x, ways)

    def _layer(self, site: WeightSite) -> _Layer:
        node = self.prepared.nodes[site.node]
        weight = float_constant_of(node.inputs[site.weight_input])
        assert weight is not None
        model = isolated(node, opset=self.prepared.model.opset_imports[""])
        bias = _bias(node)
        return _Layer(
            site,
            OnnxRuntimeSession(model.SerializeToString(), threads=self.threads),
            {INPUTS[1]: weight} | bias,
            {INPUTS[1]: self.weights[site.node].dequantized()} | bias,
            1 if site.op_type == "Conv" else -1,
            [LayerError() for _ in self.ways],
        )


def _bias(node: ir.Node) -> dict[str, FloatArray]:
    bias = float_constant_of(node.inputs[2]) if len(node.inputs) > 2 else None
    return {} if bias is None else {INPUTS[2]: bias}

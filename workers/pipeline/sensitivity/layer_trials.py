"""Every layer on its own, quantized beside float, over a few samples: its channels' mean error, and its figures."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from workers.ingestion.data.samples import Batch
from workers.pipeline.feeding.feeder import Feeder
from workers.pipeline.feeding.padding import real_values
from workers.protocol.reporter import Reporter
from workers.quantization.affine import QParams, choose_qparams, fake_quantize
from workers.quantization.executor.onnxruntime_session import Session, loaded
from workers.quantization.graph.constants import float_constant_of
from workers.quantization.graph.isolated_operator import INPUTS, OUTPUT, isolated
from workers.quantization.graph.observation import also_giving_out
from workers.quantization.graph.weighted_operators import WeightSite
from workers.quantization.layer_trial import LayerError
from workers.quantization.placement.sites import tensors_of
from workers.quantization.ranges import Range
from workers.quantization.rounding.rounded_weight import RoundedWeight
from workers.targets.preparation import Prepared

TRIAL_SAMPLES = 64
"""Means of channels are known to a few percent of their spread by then: tens of thousands of positions."""

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class _Layer:
    """One operator by itself, with its weight and what rounding leaves of it."""

    site: WeightSite
    session: Session
    float_inputs: Mapping[str, FloatArray]
    rounded_inputs: Mapping[str, FloatArray]
    channel_axis: int
    error: LayerError

    def observe(self, x: FloatArray, rounded: FloatArray, qparams: QParams) -> None:
        self.error.observe_input(x, rounded, qparams)
        y = self._run(x, self.float_inputs)
        self.error.observe_output(y, self._run(rounded, self.rounded_inputs), channel_axis=self.channel_axis)

    def _run(self, x: FloatArray, constants: Mapping[str, FloatArray]) -> FloatArray:
        feeds: Batch = {INPUTS[0]: x, **constants}
        return np.asarray(self.session.run(feeds)[OUTPUT], np.float32)


def try_layers(
    prepared: Prepared,
    rounded: Mapping[str, RoundedWeight],
    ranges: Mapping[str, Range],
    feeder: Feeder,
    reporter: Reporter,
    *,
    rows: int,
    threads: int,
) -> dict[str, LayerError]:
    """Errors by operator. Inputs come from the float model, the same for all layers that read them."""
    by_tensor = {
        tensor: [_layer(prepared, site, rounded[site.node], threads=threads) for site in sites]
        for tensor, sites in tensors_of(prepared.model.graph, prepared.placement).items()
    }
    qparams = {t: _qparams_of(prepared, ranges, t) for t in by_tensor}
    watched, computed = also_giving_out(prepared.model, by_tensor)
    session = loaded(watched, threads=threads)
    total = min(TRIAL_SAMPLES, feeder.samples.num_samples)
    done = 0
    for fed in feeder.batches(rows, limit=total):
        feeds, tokens = feeder.padding.read(fed.feeds)
        outputs = session.run(feeds, list(computed))
        for tensor, layers in by_tensor.items():
            x = np.asarray(feeds[tensor] if tensor in feeds else outputs[tensor], np.float32)
            x = real_values(x, tokens)
            if x.size:
                _observe(layers, np.ascontiguousarray(x), qparams[tensor])
        done += fed.rows
        reporter.progress(done, total, "samples")
    return {layer.site.node: layer.error for layers in by_tensor.values() for layer in layers}


def _observe(layers: list[_Layer], x: FloatArray, qparams: QParams) -> None:
    rounded = fake_quantize(x, qparams)
    for layer in layers:
        layer.observe(x, rounded, qparams)


def _qparams_of(prepared: Prepared, ranges: Mapping[str, Range], tensor: str) -> QParams:
    """Of the pair before the tensor's readers, whose scale may be another tensor's."""
    pair = next(p for p in prepared.placement.pairs if p.tensor == tensor)
    return choose_qparams(*ranges[pair.scale_of], pair.scheme)


def _layer(prepared: Prepared, site: WeightSite, rounded: RoundedWeight, *, threads: int) -> _Layer:
    node = next(n for n in prepared.model.graph if n.name == site.node)
    weight = float_constant_of(node.inputs[site.weight_input])
    assert weight is not None
    model = isolated(node, opset=prepared.model.opset_imports[""])
    session = Session(model.SerializeToString(), threads=threads)
    bias = _bias(node)
    return _Layer(
        site,
        session,
        {INPUTS[1]: weight} | bias,
        {INPUTS[1]: rounded.dequantized()} | bias,
        1 if site.op_type == "Conv" else -1,
        LayerError(),
    )


def _bias(node: ir.Node) -> dict[str, FloatArray]:
    bias = float_constant_of(node.inputs[2]) if len(node.inputs) > 2 else None
    return {} if bias is None else {INPUTS[2]: bias}

"""What rounding each single tensor costs at the model's output, measured; and the range that costs least."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from workers.ingestion.data.samples import Batch
from workers.pipeline.sensitivity.held_out import HeldOut, dominant
from workers.protocol.reporter import Reporter
from workers.quantization.affine import QParams
from workers.quantization.executor.onnxruntime_session import OnnxRuntimeSession, loaded
from workers.quantization.passes.insert_switches import SwitchInputs, insert_switches
from workers.quantization.placement import Pair
from workers.targets.preparation import Prepared

PROBED = 32
"""Samples that each question is asked of, of all parts together: there are hundreds of questions."""

_WORTH_TRYING = 0.01
"""Share of all noise from which on a tensor's other ranges are tried: the rest cannot add up to much."""


Ranges = Mapping[str, QParams]
"""By name."""


@dataclass
class SensitivityProbe:
    """The float model with a switch before every tensor that will be quantized, all off but one."""

    pairs: tuple[Pair, ...]
    inputs: SwitchInputs
    session: OnnxRuntimeSession
    held_out: HeldOut

    @classmethod
    def of(cls, prepared: Prepared, held_out: HeldOut, *, threads: int) -> "SensitivityProbe":
        model = prepared.model.clone()
        pairs = prepared.placement.pairs
        inputs = insert_switches(model, pairs)
        return cls(pairs, inputs, loaded(model, threads=threads), held_out)

    def noise(self, index: int, qparams: QParams) -> float:
        """At the model's output, when only this pair rounds."""
        return self.held_out.noise(self.session, self._settings(index, qparams))

    def _settings(self, index: int, qparams: QParams) -> Batch:
        count = len(self.pairs)
        switch, scale = np.zeros(count, np.bool_), np.ones(count, np.float32)
        zero_point = np.zeros(count, qparams.scheme.storage)
        switch[index], scale[index], zero_point[index] = True, qparams.scale, qparams.zero_point
        return {self.inputs.switch: switch, self.inputs.scale: scale, self.inputs.zero_point: zero_point}


def sensitivities(probe: SensitivityProbe, full: Mapping[str, QParams], reporter: Reporter) -> dict[str, float]:
    """Noise at the output by tensor; a tensor whose scale another one lends is part of that one's figure."""
    noises: dict[str, float] = {}
    for index, pair in enumerate(probe.pairs):
        cost = probe.noise(index, full[pair.scale_of])
        noises[pair.scale_of] = noises.get(pair.scale_of, 0.0) + cost
        reporter.progress(index + 1, len(probe.pairs), "tensors")
    return noises


def worth_trying(noises: Mapping[str, float]) -> list[str]:
    """The tensors that matter, the noisiest first."""
    tensors = list(noises)
    return [tensors[i] for i in dominant(list(noises.values()), share=_WORTH_TRYING)]


def costs_of_ranges(
    probe: SensitivityProbe, candidates: Mapping[str, Ranges], reporter: Reporter
) -> dict[str, dict[str, float]]:
    """Noise at the output by tensor and candidate, one tensor at a time."""
    costs: dict[str, dict[str, float]] = {}
    for tensor, ranges in candidates.items():
        indices = [i for i, pair in enumerate(probe.pairs) if pair.scale_of == tensor]
        costs[tensor] = {name: sum(probe.noise(i, q) for i in indices) for name, q in ranges.items()}
        reporter.progress(len(costs), len(candidates), "tensors")
    return costs


def best_ranges(costs: Mapping[str, Mapping[str, float]]) -> dict[str, str]:
    """The name of the cheapest candidate of each tensor."""
    return {tensor: min(some, key=lambda name: some[name]) for tensor, some in costs.items()}

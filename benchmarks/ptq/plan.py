"""What `make bench-ptq` compares, and how often it measures."""

from dataclasses import dataclass, field

from benchmarks.conditions import threads

_LOWBIT, _ONNXRUNTIME = "benchmarks.ptq.with_lowbit", "benchmarks.ptq.with_onnxruntime"
NNCF = "benchmarks.ptq.with_nncf"

PRESET = "int8-accurate"

Recipe = dict[str, str | bool]


@dataclass(frozen=True)
class Contender:
    """Who makes an int8 model, and how."""

    module: str
    model: str = "model.onnx"
    samples: int | None = None
    """None is all of the calibration data."""
    recipe: Recipe = field(default_factory=dict)
    """For Lowbit: a preset, and what to change in it."""


Contenders = dict[str, dict[str, Contender]]
"""By subject and name."""

_PEER_SAMPLES = 128  # NNCF's models are no better with 512, ONNX Runtime's hardly differ

_PER_TENSOR: Recipe = {"preset": "int8-fast", "per_channel": False}
_LOWBIT_AT_ITS_BEST = Contender(_LOWBIT, recipe={"preset": PRESET})
_ORT_STATIC = Contender(_ONNXRUNTIME, model="peer.onnx", samples=_PEER_SAMPLES)

CONTENDERS: Contenders = {
    "minilm": {
        "lowbit": _LOWBIT_AT_ITS_BEST,
        "nncf": Contender(NNCF, samples=_PEER_SAMPLES),
        "ort_dynamic": Contender(_ONNXRUNTIME),
        "ort_static": _ORT_STATIC,
    },
    "cnn_skewed": {
        "lowbit_plain": Contender(_LOWBIT, recipe=_PER_TENSOR),
        "lowbit_equalized": Contender(_LOWBIT, recipe={**_PER_TENSOR, "equalize": "on"}),
    },
    "rapidocr_rec": {"lowbit": _LOWBIT_AT_ITS_BEST, "ort_static": _ORT_STATIC},
}


@dataclass(frozen=True)
class Plan:
    contenders: Contenders = field(default_factory=lambda: CONTENDERS)
    calibrated: str = "minilm"
    """The subject on which calibration itself is timed."""
    counts: tuple[int, ...] = (128, 512)
    smallest_count: int = 32
    """From here on it is measured how Lowbit's memory grows."""
    rounds: int = 3
    threads: int = field(default_factory=threads)
    """ONNX Runtime's calibration takes this many in any case."""
    batch_sizes: tuple[int, ...] = (1, 8)
    stretches: int = 4
    """Of ten rounds each, in which every model is timed once."""

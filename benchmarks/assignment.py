"""What a child process is told, and what it answers. Nothing heavy is imported here: the parent reads it too."""

from dataclasses import dataclass, field

MEASURED_FILE = "measured.json"


@dataclass(frozen=True)
class Material:
    """Make the models and the data of one subject in `folder`."""

    subject: str
    folder: str
    samples: int
    held_out: int


@dataclass(frozen=True)
class Quantization:
    """Quantize `model` on the first `samples` of `archive`; the models, and what was measured, go into `folder`."""

    contender: str
    model: str
    archive: str
    samples: int
    folder: str
    threads: int
    peer_options: dict[str, bool] = field(default_factory=dict)


@dataclass(frozen=True)
class Scoring:
    """Compare the candidates, named in `candidates`, with the float `model` on all samples of `archive`."""

    model: str
    archive: str
    candidates: dict[str, str]
    folder: str
    threads: int


@dataclass(frozen=True)
class Calibration:
    """Calibrate `model` on the first `samples` of `archive` and find the ranges; nothing is quantized."""

    model: str
    archive: str
    samples: int
    folder: str
    threads: int


@dataclass(frozen=True)
class Production:
    """Make the int8 model `written` from `model` and the first `samples` of `archive`, or all of them."""

    contender: str
    model: str
    archive: str
    samples: int | None
    written: str
    threads: int
    recipe: dict[str, str | bool] = field(default_factory=dict)
    """For Lowbit: a preset, and what to change in it."""


@dataclass(frozen=True)
class Judging:
    """Score and time `candidates` beside the float `model` on all samples of `archive`, within one process."""

    model: str
    archive: str
    candidates: dict[str, str]
    folder: str
    threads: int
    batch_sizes: tuple[int, ...]
    stretches: int
    """How often ten rounds are timed."""


Told = Material | Quantization | Scoring | Calibration | Production | Judging

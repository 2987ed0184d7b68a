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

"""What all work of a job has at hand, whatever it does to the model."""

from dataclasses import dataclass

from workers.pipeline.steps.step_folder import StepFolder
from workers.protocol.reporter import Reporter


@dataclass(frozen=True)
class Desk:
    reporter: Reporter
    steps: StepFolder
    threads: int

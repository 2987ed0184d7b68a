"""The targets that this worker's code can serve. A new one is a file beside this and a line here."""

from workers.targets.onnxruntime_cpu import OnnxRuntimeCpu
from workers.targets.target import Target

TARGETS: tuple[Target, ...] = (OnnxRuntimeCpu(),)
"""The first one judges models of which no job has said where they will be served."""


class TargetUnknown(Exception):
    """No worker of this version can serve it; the message is its name."""


def target_named(name: str) -> Target:
    """Raises TargetUnknown."""
    for target in TARGETS:
        if target.name == name:
            return target
    raise TargetUnknown(name)

"""What the shapes of the inputs decide is worked out once for each set of shapes: in a transformer, half of the steps.

A step is settled by shapes if it only looks at shapes, or at what other settled steps gave. That holds as long as all
shapes in the graph follow from those of the inputs: one shape that depends on data, and nothing is remembered.
"""

from collections.abc import Hashable, Mapping, Sequence

from torch import Tensor

from workers.quantization.executor.residence import READS_NO_VALUES
from workers.quantization.executor.schedule import Step

SHAPED_BY_DATA = frozenset({"NonZero"})

MOST_SHAPES = 256
"""Then all is forgotten: what is kept for one is small, and whoever feeds more shapes than this gains little."""


class ShapeMemory:
    def __init__(self, steps: Sequence[Step]) -> None:
        self.settled = _settled_by_shapes(steps)
        self._values: dict[Hashable, dict[str, Tensor]] = {}

    def recall(self, outputs: tuple[str, ...], feeds: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
        """What the settled steps gave when these outputs were last computed for inputs of these shapes."""
        return self._values.get(_key(outputs, feeds))

    def keep(self, outputs: tuple[str, ...], feeds: Mapping[str, Tensor], values: dict[str, Tensor]) -> None:
        if len(self._values) >= MOST_SHAPES:
            self._values.clear()
        self._values[_key(outputs, feeds)] = values


def _key(outputs: tuple[str, ...], feeds: Mapping[str, Tensor]) -> Hashable:
    return outputs, tuple((name, tuple(tensor.shape)) for name, tensor in sorted(feeds.items()))


def _settled_by_shapes(steps: Sequence[Step]) -> frozenset[Step]:
    settled: set[Step] = set()
    decided: set[str] = set()
    for step in steps:
        looked_at = {a.name for a in step.arguments if a is not None and a.form in {"numbers", "on_host"}}
        if step.operator in SHAPED_BY_DATA or looked_at - decided:
            return frozenset()
        if step.on_host and (step.operator in READS_NO_VALUES or step.reads <= decided):
            settled.add(step)
            decided.update(step.outputs)
    return frozenset(settled)

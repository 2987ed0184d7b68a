"""How the statistics of calibration are stored: each observer's arrays, under a number; who they are of, as facts."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self, TypeVar

import numpy as np
import numpy.typing as npt

from workers.pipeline.methods.static.statistics import HessianKey, Statistics
from workers.pipeline.steps.step_file import StepContent, StepUnusable
from workers.quantization.observers import Arrays, StoredStatisticsInvalid

_EXECUTORS = (None, "onnxruntime-cpu", "torch-cpu")


class _Observer(Protocol):
    def to_arrays(self) -> Arrays: ...

    def filled(self, arrays: Arrays) -> Self: ...


_Key = TypeVar("_Key")
_Kind = TypeVar("_Kind", bound=_Observer)


@dataclass(frozen=True)
class StatisticsForm:
    """Knows which statistics the job would gather, and takes no others."""

    empty: Statistics

    def packed(self, result: Statistics) -> StepContent:
        arrays = {
            f"{kind}.{index}.{name}": array
            for kind, observers in _kinds(result).items()
            for index, observer in enumerate(observers.values())
            for name, array in observer.to_arrays().items()
        }
        return StepContent({"executor": result.executor, **_names(result)}, arrays)

    def unpacked(self, content: StepContent) -> Statistics:
        executor = content.facts.get("executor")
        if executor not in _EXECUTORS or content.facts != {"executor": executor, **_names(self.empty)}:
            raise StepUnusable("its tensors are not those that this job observes")
        stored = _by_observer(content.arrays)
        if stored.keys() != {
            f"{kind}.{i}" for kind, observers in _kinds(self.empty).items() for i in range(len(observers))
        }:
            raise StepUnusable("its observers are not those of this job")
        try:
            filled = replace(
                self.empty,
                ranges=_filled("ranges", self.empty.ranges, stored),
                averages=_filled("averages", self.empty.averages, stored),
                channels=_filled("channels", self.empty.channels, stored),
                moments=_filled("moments", self.empty.moments, stored),
                executor=executor,
            )
        except StoredStatisticsInvalid as error:
            raise StepUnusable(str(error)) from error
        if any(observer.nonfinite for observer in filled.ranges.values()):
            raise StepUnusable("calibration would have refused it")
        return filled


def _kinds(statistics: Statistics) -> Mapping[str, Mapping[Any, _Observer]]:
    return {
        "ranges": statistics.ranges,
        "averages": statistics.averages,
        "channels": statistics.channels,
        "moments": statistics.moments,
    }


def _names(statistics: Statistics) -> dict[str, Any]:
    """Of the tensors, in the order of their numbers. Lists, as JSON gives them back."""
    return {
        "ranges": list(statistics.ranges),
        "averages": list(statistics.averages),
        "channels": list(statistics.channels),
        "moments": [_spelled(key) for key in statistics.moments],
    }


def _spelled(key: HessianKey) -> list[Any]:
    tensor, window = key
    if window is None:
        return [tensor, None]
    sides = [list(side) for side in (window.kernel, window.strides, window.dilations, window.pads)]
    return [tensor, [*sides, window.group]]


def _by_observer(arrays: Mapping[str, npt.NDArray[np.generic]]) -> dict[str, dict[str, npt.NDArray[np.generic]]]:
    """`ranges.3.counts` -> `counts` of `ranges.3`."""
    found: dict[str, dict[str, npt.NDArray[np.generic]]] = {}
    for path, array in arrays.items():
        observer, _, name = path.rpartition(".")
        found.setdefault(observer, {})[name] = array
    return found


def _filled(kind: str, empty: Mapping[_Key, _Kind], stored: Mapping[str, Arrays]) -> dict[_Key, _Kind]:
    return {key: observer.filled(stored[f"{kind}.{i}"]) for i, (key, observer) in enumerate(empty.items())}

"""How the statistics of calibration are stored: each observer's arrays, under the number of its part and its own; who
they are of, as facts."""

from collections.abc import Iterator, Mapping, Sequence
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

    empty: tuple[Statistics, ...]

    def packed(self, result: tuple[Statistics, ...]) -> StepContent:
        arrays = {
            f"{part}.{kind}.{index}.{name}": array
            for part, statistics in enumerate(result)
            for kind, observers in _kinds(statistics).items()
            for index, observer in enumerate(observers.values())
            for name, array in observer.to_arrays().items()
        }
        return StepContent({"executors": [s.executor for s in result], "names": list(map(_names, result))}, arrays)

    def unpacked(self, content: StepContent) -> tuple[Statistics, ...]:
        executors = content.facts.get("executors")
        expected = {"executors": executors, "names": list(map(_names, self.empty))}
        if not isinstance(executors, list) or len(executors) != len(self.empty) or content.facts != expected:
            raise StepUnusable("its tensors are not those that this job observes")
        if any(executor not in _EXECUTORS for executor in executors):
            raise StepUnusable("nobody of that name runs models here")
        stored = _by_observer(content.arrays)
        if stored.keys() != set(_places(self.empty)):
            raise StepUnusable("its observers are not those of this job")
        return tuple(
            _filled(empty, str(part), stored, executor)
            for part, (empty, executor) in enumerate(zip(self.empty, executors, strict=True))
        )


def _places(parts: Sequence[Statistics]) -> Iterator[str]:
    """Of every observer: `1.ranges.3`."""
    for part, statistics in enumerate(parts):
        for kind, observers in _kinds(statistics).items():
            yield from (f"{part}.{kind}.{index}" for index in range(len(observers)))


def _filled(empty: Statistics, part: str, stored: Mapping[str, Arrays], executor: str | None) -> Statistics:
    try:
        filled = replace(
            empty,
            ranges=_observers(f"{part}.ranges", empty.ranges, stored),
            averages=_observers(f"{part}.averages", empty.averages, stored),
            channels=_observers(f"{part}.channels", empty.channels, stored),
            moments=_observers(f"{part}.moments", empty.moments, stored),
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
    """`1.ranges.3.counts` -> `counts` of `1.ranges.3`."""
    found: dict[str, dict[str, npt.NDArray[np.generic]]] = {}
    for path, array in arrays.items():
        observer, _, name = path.rpartition(".")
        found.setdefault(observer, {})[name] = array
    return found


def _observers(place: str, empty: Mapping[_Key, _Kind], stored: Mapping[str, Arrays]) -> dict[_Key, _Kind]:
    return {key: observer.filled(stored[f"{place}.{i}"]) for i, (key, observer) in enumerate(empty.items())}

"""The figures of one benchmark run, and what follows from them."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Self

Conditions = dict[str, str | float | bool]


@dataclass(frozen=True)
class Run:
    """One child: one tool, once."""

    subject: str
    contender: str
    samples: int
    round: int
    outcome: str
    wall_seconds: float | None
    peak_rss_mib: float
    floor_rss_mib: float | None
    others_cores: float


@dataclass(frozen=True)
class Quality:
    """One int8 model against the float one, on held-out samples."""

    subject: str
    contender: str
    variant: str
    samples: int
    agreement: float
    sqnr_db: float | None
    size_bytes: int


@dataclass(frozen=True)
class Spread:
    median: float
    lowest: float
    highest: float


@dataclass(frozen=True)
class Results:
    conditions: Conditions
    runs: tuple[Run, ...]
    quality: tuple[Quality, ...]

    @property
    def subjects(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(run.subject for run in self.runs))

    @property
    def counts(self) -> tuple[int, ...]:
        return tuple(sorted({run.samples for run in self.runs}))

    def of(self, subject: str, contender: str, samples: int) -> tuple[Run, ...]:
        """The rounds, in order."""
        wanted = (subject, contender, samples)
        return tuple(r for r in self.runs if (r.subject, r.contender, r.samples) == wanted)

    def wall(self, subject: str, contender: str, samples: int) -> Spread | None:
        return _spread([r.wall_seconds for r in self.of(subject, contender, samples) if r.wall_seconds is not None])

    def peak(self, subject: str, contender: str, samples: int) -> float | None:
        peaks = [r.peak_rss_mib for r in self.of(subject, contender, samples) if r.wall_seconds is not None]
        return median(peaks) if peaks else None

    def ratio(self, subject: str, ours: str, theirs: str, samples: int) -> Spread | None:
        """Wall time of `ours` over `theirs`, round by round: the two ran within a minute of each other."""
        theirs_by_round = {r.round: r.wall_seconds for r in self.of(subject, theirs, samples)}
        pairs = ((r.wall_seconds, theirs_by_round.get(r.round)) for r in self.of(subject, ours, samples))
        return _spread([one / other for one, other in pairs if one and other])

    def quietest_ratio(self, subject: str, ours: str, theirs: str, samples: int) -> float | None:
        """The lowest wall time of `ours` over the lowest of `theirs`: what other load disturbs least."""
        one, other = self.wall(subject, ours, samples), self.wall(subject, theirs, samples)
        return one.lowest / other.lowest if one and other else None

    def others_cores(self) -> Spread | None:
        return _spread([run.others_cores for run in self.runs])

    def growth_mib(self, subject: str, contender: str) -> float | None:
        """Peak memory at the large count less that at the small one."""
        return self._difference(lambda samples: self.peak(subject, contender, samples))

    def seconds_per_sample(self, subject: str, contender: str) -> float | None:
        """The slope of the median wall time between the counts: what every further sample costs."""
        walls = {samples: self.wall(subject, contender, samples) for samples in self.counts}
        difference = self._difference(lambda samples: None if (w := walls[samples]) is None else w.median)
        return None if difference is None else difference / (self.counts[-1] - self.counts[0])

    def _difference(self, figure: Callable[[int], float | None]) -> float | None:
        small, large = figure(self.counts[0]), figure(self.counts[-1])
        return None if small is None or large is None else large - small

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Self:
        stored = json.loads(path.read_text(encoding="utf-8"))
        return cls(
            stored["conditions"],
            tuple(Run(**r) for r in stored["runs"]),
            tuple(Quality(**q) for q in stored["quality"]),
        )


def _spread(values: Sequence[float]) -> Spread | None:
    return Spread(median(values), min(values), max(values)) if values else None

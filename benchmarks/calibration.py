"""`make bench`: what calibration costs in Lowbit and in ONNX Runtime's own tool, and what the int8 models are worth.

Writes benchmarks/results/calibration.json and the figures in docs/benchmarks.md, which says what is measured and how.
"""

import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from benchmarks.assignment import MEASURED_FILE, Material, Quantization, Scoring
from benchmarks.conditions import conditions, threads
from benchmarks.processes import ROOT, must_run, run
from benchmarks.results import Quality, Results, Run
from benchmarks.tables import figures, write_figures

RESULTS = ROOT / "benchmarks" / "results" / "calibration.json"
PAGE = ROOT / "docs" / "benchmarks.md"

_LOWBIT, _PEER = "benchmarks.with_lowbit", "benchmarks.with_onnxruntime"

MODULES = {
    "lowbit_fast": _LOWBIT,
    "lowbit_balanced": _LOWBIT,
    "ort_minmax": _PEER,
    "ort_minmax_weighted": _PEER,
    "ort_percentile": _PEER,
}

# pre-processing gives magika a Gemm with a bias of two axes, on which quantize_static raises ValueError without this
PEER_OPTIONS = {"magika": {"QDQDisableWeightAdjustForInt32Bias": True}}


_NOT_TWICE_SECONDS = 30.0
"""A run that takes longer is not repeated: the whole should stay under eight minutes on two cores."""


@dataclass(frozen=True)
class Plan:
    subjects: tuple[str, ...] = ("reader", "magika")
    contenders: tuple[str, ...] = tuple(MODULES)
    counts: tuple[int, ...] = (32, 256)
    held_out: int = 64
    rounds: int = 3


def main() -> None:
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="lowbit-bench-") as folder:
        results = measure(Plan(), Path(folder))
    results.write(RESULTS)
    write_figures(PAGE, results)
    print(figures(results))
    print(f"\nTook {time.monotonic() - started:.0f} s. Wrote {RESULTS} and the figures in {PAGE}.")


def measure(plan: Plan, folder: Path) -> Results:
    """Everything, in children of this process; their files go into `folder`."""
    before = conditions()
    runs: list[Run] = []
    quality: list[Quality] = []
    for subject in plan.subjects:
        home = folder / subject
        home.mkdir()
        must_run("benchmarks.material", Material(subject, str(home), max(plan.counts), plan.held_out), log=home / "log")
        runs += _rounds(plan, subject, home)
        quality += _scores(plan, subject, home)
    return Results(before, tuple(runs), tuple(quality))


def _rounds(plan: Plan, subject: str, home: Path) -> Iterator[Run]:
    """All contenders once, then again: a slow minute of the machine meets all of them."""
    once_only: set[tuple[str, int]] = set()
    for number in range(plan.rounds):
        turn = number % len(plan.contenders)
        for contender in (*plan.contenders[turn:], *plan.contenders[:turn]):
            for samples in plan.counts:
                if (contender, samples) in once_only:
                    continue
                measured = _once(subject, contender, samples, number, home)
                print(f"round {number + 1}: {subject}, {contender}, {samples}: {_told(measured)}", flush=True)
                if measured.wall_seconds is None or measured.wall_seconds > _NOT_TWICE_SECONDS:
                    once_only.add((contender, samples))
                yield measured


def _told(measured: Run) -> str:
    seconds = "" if measured.wall_seconds is None else f" in {measured.wall_seconds:.2f} s"
    return f"{measured.outcome}{seconds}, {measured.peak_rss_mib:.0f} MiB, others {measured.others_cores:.2f}"


def _once(subject: str, contender: str, samples: int, number: int, home: Path) -> Run:
    folder = home / f"{contender}-{samples}"
    folder.mkdir(exist_ok=True)
    told = Quantization(
        contender=contender,
        model=str(home / ("model.onnx" if MODULES[contender] == _LOWBIT else "peer.onnx")),
        archive=str(home / "calibration.npz"),
        samples=samples,
        folder=str(folder),
        threads=threads(),
        peer_options=PEER_OPTIONS.get(subject, {}),
    )
    ended = run(MODULES[contender], told, log=folder / "log")
    if ended.outcome != "ok":
        return Run(
            subject, contender, samples, number, ended.outcome, None, ended.peak_rss_mib, None, ended.others_cores
        )
    found = json.loads((folder / MEASURED_FILE).read_text())
    wall, floor = found["wall_seconds"], found["floor_rss_mib"]
    return Run(subject, contender, samples, number, "ok", wall, ended.peak_rss_mib, floor, ended.others_cores)


def _scores(plan: Plan, subject: str, home: Path) -> Iterator[Quality]:
    """Every model that came about, measured on the held-out samples in one process."""
    written = _written(plan, home)
    candidates = {str(number): path for number, path in enumerate(written.values())}
    told = Scoring(str(home / "model.onnx"), str(home / "held_out.npz"), candidates, str(home), threads())
    must_run("benchmarks.score", told, log=home / "log")
    scores = json.loads((home / MEASURED_FILE).read_text())
    for number, ((contender, samples, variant), path) in enumerate(written.items()):
        score = scores[str(number)]
        size = Path(path).stat().st_size
        yield Quality(subject, contender, variant, samples, score["agreement"], score["sqnr_db"], size)


def _written(plan: Plan, home: Path) -> dict[tuple[str, int, str], str]:
    """The models by contender, number of samples and variant."""
    found: dict[tuple[str, int, str], str] = {}
    for contender, samples in product(plan.contenders, plan.counts):
        measured = home / f"{contender}-{samples}" / MEASURED_FILE
        if measured.exists():
            files = json.loads(measured.read_text())["files"]
            found |= {(contender, samples, variant): path for variant, path in files.items()}
    return found


if __name__ == "__main__":
    main()

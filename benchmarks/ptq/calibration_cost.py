"""What calibration alone costs, in Lowbit and in ONNX Runtime: whole processes, which take turns."""

import json
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks.assignment import MEASURED_FILE, Calibration
from benchmarks.processes import must_run
from benchmarks.ptq.plan import Plan
from benchmarks.ptq.results import LOWBIT, ORT_MINMAX, CalibrationCost
from benchmarks.results import Run

_MODULES = {LOWBIT: "benchmarks.ptq.ranges_with_lowbit", ORT_MINMAX: "benchmarks.ptq.ranges_with_onnxruntime"}
_MODELS = {LOWBIT: "model.onnx", ORT_MINMAX: "peer.onnx"}


def calibration_cost(plan: Plan, home: Path, folder: Path) -> CalibrationCost:
    """On the plan's one subject, whose material is in `home`; what the processes write goes into `folder`."""
    runs: list[Run] = []
    searches: list[float] = []
    tensors: dict[str, int] = {}
    for number in range(plan.rounds):
        for contender, samples in _turns(plan, number):
            runs.append(_once(plan, contender, samples, number, home, folder))
            print(f"calibration, {contender}, {samples} samples: {runs[-1].wall_seconds:.1f} s", flush=True)
            found = json.loads((folder / MEASURED_FILE).read_text(encoding="utf-8"))
            tensors[contender] = found["tensors"]
            if contender == LOWBIT:
                searches.append(found["range_search_ms_per_tensor"])
    return CalibrationCost(plan.calibrated, tuple(runs), median(searches), tensors)


def _turns(plan: Plan, number: int) -> Iterator[tuple[str, int]]:
    """Who goes first changes with the round: the second finds the files in the system's cache."""
    pair = (LOWBIT, ORT_MINMAX) if number % 2 == 0 else (ORT_MINMAX, LOWBIT)
    yield LOWBIT, plan.smallest_count
    for samples in plan.counts:
        for contender in pair:
            yield contender, samples


def _once(plan: Plan, contender: str, samples: int, number: int, home: Path, folder: Path) -> Run:
    material = home / plan.calibrated
    told = Calibration(
        model=str(material / _MODELS[contender]),
        archive=str(material / "calibration.npz"),
        samples=samples,
        folder=str(folder),
        threads=plan.threads,
    )
    ended = must_run(_MODULES[contender], told, log=folder / f"{contender}.log")
    peak, others = ended.peak_rss_mib, ended.others_cores
    return Run(plan.calibrated, contender, samples, number, ended.outcome, ended.wall_seconds, peak, None, others)

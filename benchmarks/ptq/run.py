"""`make bench-ptq`: Lowbit, NNCF and ONNX Runtime's own tool on the same float models and the same data.

Writes benchmarks/results/ptq.json. The one argument, if any, is the folder in which models and data are kept.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.assignment import MEASURED_FILE, Judging, Production
from benchmarks.conditions import conditions
from benchmarks.processes import ROOT, must_run
from benchmarks.ptq.calibration_cost import calibration_cost
from benchmarks.ptq.downloads import CACHE
from benchmarks.ptq.environment import nncf_version, python_with_peers
from benchmarks.ptq.plan import NNCF, Contender, Plan
from benchmarks.ptq.results import Judged, Results
from benchmarks.results import Conditions
from workers.pipeline.evaluation.interleaving import MIN_ROUNDS

RESULTS = ROOT / "benchmarks" / "results" / "ptq.json"


def main() -> None:
    started = time.monotonic()
    home = Path(sys.argv[1]) if len(sys.argv) > 1 else CACHE / "material"
    subprocess.run([sys.executable, "-m", "benchmarks.ptq.material", home], cwd=ROOT, check=True)
    python = python_with_peers(CACHE)
    with tempfile.TemporaryDirectory(prefix="lowbit-bench-") as folder:
        results = measure(Plan(), home, Path(folder), peers=python)
    results.write(RESULTS)
    print(json.dumps(results.stored(), indent=1))
    print(f"\nTook {time.monotonic() - started:.0f} s. Wrote {RESULTS}.")


def measure(plan: Plan, home: Path, folder: Path, *, peers: Path) -> Results:
    """Everything, in children of this process, of the material in `home`; what they write goes into `folder`."""
    before = conditions()
    judged = {subject: _judged(plan, subject, home, folder, peers) for subject in plan.contenders}
    cost = calibration_cost(plan, home, folder)
    measured: Conditions = {
        "nncf": nncf_version(),
        "threads": plan.threads,
        "calibration_rounds": plan.rounds,
        "timing_rounds": plan.stretches * MIN_ROUNDS,
        "cores_kept_busy_by_others": median(run.others_cores for run in cost.runs),
        **{f"tensors_calibrated_by_{contender}": count for contender, count in cost.tensors.items()},
    }
    return Results({**before, **measured}, cost, judged)


def _judged(plan: Plan, subject: str, home: Path, folder: Path, peers: Path) -> dict[str, Judged]:
    """Make all int8 models of a subject, then score and time them beside the float one."""
    material, place = home / subject, folder / subject
    place.mkdir()
    for name, contender in plan.contenders[subject].items():
        _make(name, contender, material, place, threads=plan.threads, peers=peers)
    told = Judging(
        model=str(material / "model.onnx"),
        archive=str(material / "evaluation.npz"),
        candidates={name: str(place / f"{name}.onnx") for name in plan.contenders[subject]},
        folder=str(place),
        threads=plan.threads,
        batch_sizes=plan.batch_sizes,
        stretches=plan.stretches,
    )
    ended = must_run("benchmarks.ptq.judge", told, log=place / "judge.log")
    print(f"{subject}: judged in {ended.wall_seconds:.0f} s", flush=True)
    figures = json.loads((place / MEASURED_FILE).read_text(encoding="utf-8"))
    return {name: Judged(**found) for name, found in figures.items()}


def _make(name: str, contender: Contender, material: Path, place: Path, *, threads: int, peers: Path) -> None:
    told = Production(
        contender=name,
        model=str(material / contender.model),
        archive=str(material / "calibration.npz"),
        samples=contender.samples,
        written=str(place / f"{name}.onnx"),
        threads=threads,
        recipe=contender.recipe,
    )
    python = peers if contender.module == NNCF else sys.executable
    ended = must_run(contender.module, told, log=place / f"{name}.log", python=python)
    print(f"{place.name}: {name} made in {ended.wall_seconds:.0f} s, {ended.peak_rss_mib:.0f} MiB", flush=True)


if __name__ == "__main__":
    main()

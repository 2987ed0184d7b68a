"""`python -m tests.workers.fuzz_models --seconds 600`: models that nobody chose, through all presets, for so long.

Each job runs in a process of its own, as jobs do: what kills it is a finding like any other. Writes one JSON line with
what was tried and found; ends with 1 if something was.
"""

import argparse
import json
import multiprocessing
import signal
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from tests.workers.generated.models import generated
from tests.workers.held_to_float import Held, held, simulated
from tests.workers.pipeline.test_generated_models import PRESETS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--first", type=int, default=0, help="the first number; each makes one model")
    parser.add_argument("--presets", nargs="+", default=list(PRESETS))
    asked = parser.parse_args()
    tried, findings = _search(asked.seconds, asked.first, asked.presets)
    print(json.dumps({"tried": dict(tried), "findings": findings}))  # noqa: T201 - the program's own voice
    sys.exit(1 if findings else 0)


def _search(seconds: float, first: int, presets: list[str]) -> tuple[Counter[str], list[dict[str, Any]]]:
    tried: Counter[str] = Counter()
    findings: list[dict[str, Any]] = []
    ends, seed = time.monotonic() + seconds, first
    while time.monotonic() < ends:
        for preset in presets:
            found = _alone(seed, preset)
            tried[preset if found.refused is None else f"{preset}, refused: {found.refused}"] += 1
            if found.fault is not None or found.caught:
                findings.append({"seed": seed, "preset": preset, "fault": found.fault, "caught": list(found.caught)})
                print(json.dumps(findings[-1]), file=sys.stderr, flush=True)  # noqa: T201
        tried["models"] += 1
        seed += 1
    return tried, findings


_pool: list[ProcessPoolExecutor] = []
"""One process for many jobs: starting it takes longer than the job. Another one takes its place when it dies."""


def _alone(seed: int, preset: str) -> Held:
    if not _pool:
        _pool.append(ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")))
    try:
        return _pool[0].submit(_try, seed, preset).result()
    except BrokenProcessPool:
        _pool.pop().shutdown()
        return Held(f"the process died ({signal.SIGSEGV.name}, usually)", refused="died")


def _try(seed: int, preset: str) -> Held:
    model = generated(seed)
    with tempfile.TemporaryDirectory() as folder:
        return held(model, preset, Path(folder), simulated_db=simulated(model))


if __name__ == "__main__":
    main()

"""How good, how large and how fast models are, all of them in ONNX Runtime and in this one process."""

import io
import json
import sys
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from statistics import median

from benchmarks.assignment import MEASURED_FILE, Judging
from benchmarks.ptq.results import FLOAT, Judged
from workers.ingestion.data.npz import open_archive
from workers.ingestion.onnx_model.description import describe
from workers.ingestion.onnx_model.parse import load_model
from workers.pipeline.evaluation.interleaving import interleave
from workers.pipeline.evaluation.judge import Judge
from workers.pipeline.evaluation.tally import TopOneTally
from workers.pipeline.feeding.feeder import Feeder, feeder_for, fitting_rows
from workers.pipeline.original import predicting_output
from workers.protocol.reporter import Reporter
from workers.quantization.executor.onnxruntime_session import OnnxRuntimeSession, quiet_logs


def judge(told: Judging) -> dict[str, Judged]:
    """The figures of the float model and of each candidate."""
    reporter = Reporter(io.StringIO())
    description = describe(load_model(Path(told.model)))
    output = predicting_output(description)
    assert output is not None
    feeder = feeder_for(description, open_archive(Path(told.archive)), reporter)
    paths = {FLOAT: told.model, **told.candidates}
    sessions = {key: OnnxRuntimeSession(Path(path).read_bytes(), threads=told.threads) for key, path in paths.items()}
    rows = fitting_rows(sessions[FLOAT], feeder, reporter)
    compare = Judge(sessions[FLOAT], feeder, [output], rows)
    tallies = {key: TopOneTally(output.name, positions_are_predictions=True) for key in sessions}
    found = {key: compare.judge(session, tallies[key]) for key, session in sessions.items()}
    speedups = {size: _speedups(sessions, feeder, size, told.stretches) for size in told.batch_sizes}
    return {
        key: _judged(Path(path), found[key], {str(size): speedups[size][key] for size in told.batch_sizes})
        for key, path in paths.items()
    }


def _speedups(sessions: dict[str, OnnxRuntimeSession], feeder: Feeder, size: int, stretches: int) -> dict[str, float]:
    """The float model's median time over each model's, all taking turns."""
    feeds = feeder.rows_of_exactly(size)
    runs = {key: session.timed(feeds) for key, session in sessions.items()}
    times: defaultdict[str, list[float]] = defaultdict(list)
    for _ in range(stretches):
        for key, milliseconds in interleave(runs, duration_s=0.0).items():
            times[key] += milliseconds
    return {key: median(times[FLOAT]) / median(milliseconds) for key, milliseconds in times.items()}


def _judged(path: Path, found: TopOneTally, speedups: dict[str, float]) -> Judged:
    """The float model is compared with itself: every prediction agrees, and there is no noise."""
    size = path.stat().st_size / 1e6
    accuracy = found.correct / found.labelled if found.labelled else None
    return Judged(accuracy, found.agreeing / found.predictions, found.sqnr.db(), size, speedups)


if __name__ == "__main__":
    quiet_logs()
    assignment = Judging(**json.loads(sys.argv[1]))
    figures = {key: asdict(judged) for key, judged in judge(assignment).items()}
    Path(assignment.folder, MEASURED_FILE).write_text(json.dumps(figures), encoding="utf-8")

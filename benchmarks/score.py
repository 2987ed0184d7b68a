"""How near the int8 models are to the float one on data that none of them has seen."""

import io
import json
import sys
from pathlib import Path

from benchmarks.assignment import MEASURED_FILE, Scoring
from workers.ingestion.data.npz import open_archive
from workers.ingestion.onnx_model.description import describe
from workers.ingestion.onnx_model.parse import load_model
from workers.pipeline.evaluation.judge import Judge
from workers.pipeline.evaluation.tally import TopOneTally
from workers.pipeline.feeding.feeder import feeder_for, fitting_rows
from workers.pipeline.original import predicting_output
from workers.protocol.reporter import Reporter
from workers.quantization.executor.onnxruntime_session import OnnxRuntimeSession, quiet_logs


def score(scoring: Scoring) -> dict[str, dict[str, float | None]]:
    """Agreement of the top-1 class over all positions, and the SQNR of the output, of each candidate."""
    reporter = Reporter(io.StringIO())
    description = describe(load_model(Path(scoring.model)))
    output = predicting_output(description)
    assert output is not None
    feeder = feeder_for(description, open_archive(Path(scoring.archive)), reporter)
    baseline = _session(scoring.model, scoring.threads)
    candidates = {key: _session(path, scoring.threads) for key, path in scoring.candidates.items()}
    rows = fitting_rows(baseline, feeder, reporter)
    judge = Judge(baseline, feeder, [output], rows)
    tallies = {key: TopOneTally(output.name, positions_are_predictions=True) for key in candidates}
    found = {key: judge.judge(candidate, tallies[key]) for key, candidate in candidates.items()}
    return {
        key: {"agreement": tally.agreeing / tally.predictions, "sqnr_db": tally.sqnr.db()}
        for key, tally in found.items()
    }


def _session(path: str, threads: int) -> OnnxRuntimeSession:
    return OnnxRuntimeSession(Path(path).read_bytes(), threads=threads)


if __name__ == "__main__":
    quiet_logs()
    told = Scoring(**json.loads(sys.argv[1]))
    Path(told.folder, MEASURED_FILE).write_text(json.dumps(score(told)), encoding="utf-8")

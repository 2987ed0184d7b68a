"""One pass of the data through the float model, folded into streaming statistics on the way."""

import numpy as np

from app.contracts.problem import quoted, refuse
from workers.pipeline.feeding import Fed, Feeder, fitting_rows
from workers.pipeline.reporter import Reporter
from workers.quantization.observation import with_observed_outputs
from workers.quantization.observers import FloatBitsObserver
from workers.targets.onnxruntime_cpu import Prepared, Session

Statistics = dict[str, FloatBitsObserver]


def calibrate(
    prepared: Prepared, feeder: Feeder, reporter: Reporter, *, threads: int, samples: int | None = None
) -> Statistics:
    """Statistics of every tensor that will be quantized; `samples` limits how much of the data is used.

    Memory holds one batch and 512 KiB a tensor, however many samples there are.
    """
    total = min(samples or feeder.archive.num_samples, feeder.archive.num_samples)
    graph, computed = with_observed_outputs(prepared.model, prepared.placement.observed)
    session = Session(graph.SerializeToString(), threads=threads)
    statistics = {name: FloatBitsObserver() for name in prepared.placement.observed}
    rows = fitting_rows(session, feeder, reporter)
    done = 0
    for fed in feeder.batches(rows, limit=total):
        _observe(session, computed, fed, statistics)
        done += fed.rows
        reporter.progress(done, total, "samples")
    _warn_of_huge(statistics, reporter)
    return statistics


def _observe(session: Session, computed: tuple[str, ...], fed: Fed, statistics: Statistics) -> None:
    outputs = session.run(fed.feeds, [n for n in session.outputs if n in statistics or n in computed])
    for name, observer in statistics.items():
        values = fed.feeds[name] if name in fed.feeds else outputs[name]
        observer.observe(values.astype(np.float32, copy=False))
        if observer.nonfinite:
            detail = f"Tensor {quoted(name)} of the float model becomes NaN or infinite on this data."
            raise refuse("calibration_nonfinite", detail, entry=name)


def _warn_of_huge(statistics: Statistics, reporter: Reporter) -> None:
    for name, observer in statistics.items():
        if observer.huge:
            reporter.warn(
                "huge_values_set_apart",
                f"{observer.huge} values of {quoted(name)} beyond 1e30 (masks, usually) were left out of its range.",
            )

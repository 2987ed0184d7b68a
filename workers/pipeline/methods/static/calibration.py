"""One pass of the data through the float model, folded into streaming statistics on the way."""

from collections.abc import Sequence

import numpy as np

from app.contracts.problem import quoted, refuse
from workers.pipeline.feeding.feeder import Fed, Feeder, fitting_rows
from workers.pipeline.feeding.padding import PaddingReader, real_values
from workers.pipeline.methods.static.statistics import Statistics
from workers.pipeline.sensitivity.division import Division
from workers.protocol.reporter import Reporter
from workers.quantization.executor.choice import choose_executor
from workers.quantization.executor.executor import Executor
from workers.quantization.graph.observation import observing
from workers.targets.preparation import Prepared


def calibrate(
    prepared: Prepared,
    feeder: Feeder,
    reporter: Reporter,
    *,
    parts: Sequence[Statistics],
    division: Division,
    threads: int,
) -> None:
    """Fill the statistics of every tensor that will be quantized: each sample enters those of its part.

    Memory holds one batch, and for each part and tensor 512 KiB and what its layers need beyond, however many samples
    there are.
    """
    inputs = {v.name for v in prepared.model.graph.inputs}
    watched = tuple(dict.fromkeys(tensor for part in parts for tensor in part.watched))
    executor = _executor([t for t in watched if t not in inputs], prepared, reporter, threads=threads)
    for part in parts:
        part.executor = None if executor is None else executor.name
    rows = feeder.fixed_batch or (1 if executor is None else fitting_rows(executor, feeder, reporter))
    seen = [0 for _ in parts]
    for number, fed in division.dealt(feeder, rows):
        _observe(executor, fed, feeder.padding, parts[number], seen[number])
        seen[number] += fed.rows
        reporter.progress(sum(seen), division.total, "samples")
    _warn(parts, feeder.padding, reporter)


def _executor(computed: list[str], prepared: Prepared, reporter: Reporter, *, threads: int) -> Executor | None:
    """Who runs the float model; nobody has to, when only its inputs are observed."""
    if not computed:
        return None
    choice = choose_executor(observing(prepared.model, computed), "cpu", threads=threads)
    reporter.log(f"Calibration runs in {choice.reason}.")
    return choice.executor


def _observe(
    executor: Executor | None, fed: Fed, padding: PaddingReader, statistics: Statistics, samples_before: int
) -> None:
    feeds, tokens = padding.read(fed.feeds)
    if tokens is not None and tokens.count == 0:
        return
    outputs = {} if executor is None else executor.run(feeds)
    for name in statistics.watched:
        values = np.asarray(feeds[name] if name in feeds else outputs[name], np.float32)
        statistics.observe(name, real_values(values, tokens), samples_before=samples_before)
        if name in statistics.ranges and statistics.ranges[name].nonfinite:
            detail = f"Tensor {quoted(name)} of the float model becomes NaN or infinite on this data."
            hint = "Look at how the data is prepared: the float model itself has no answer to it."
            raise refuse("calibration_nonfinite", detail, entry=name, hint=hint)


def _warn(parts: Sequence[Statistics], padding: PaddingReader, reporter: Reporter) -> None:
    for name in parts[0].ranges:
        observers = [part.ranges[name] for part in parts]
        huge = sum(observer.huge for observer in observers)
        low, high = min(observer.low for observer in observers), max(observer.high for observer in observers)
        if huge:
            reporter.warn(
                "huge_values_set_apart",
                f"{huge} values of {quoted(name)} beyond 1e30 (masks, usually) were left out of its range.",
            )
        elif low == high:
            reporter.warn(
                "constant_tensor",
                f"{quoted(name)} is {low:g} throughout the calibration data, so its range is a guess.",
            )
    if padding.tally.batches and not padding.tally.real:
        detail = "The attention mask marks every token of every sample as padding."
        raise refuse("calibration_empty", detail, hint="Store 1 for tokens that are there, and 0 for padding.")
    if padding.tally.empty_batches:
        reporter.warn("empty_mask", f"{padding.tally.empty_batches} batches have no real token and were left out.")

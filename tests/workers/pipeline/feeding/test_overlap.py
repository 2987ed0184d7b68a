import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.workers.ingestion.data.minilm import model, model_folder
from tests.workers.quantization.small_models import residual_cnn
from workers.ingestion.data.npz import open_archive
from workers.ingestion.data.opening import open_samples
from workers.ingestion.onnx_model.description import describe
from workers.pipeline.feeding.feeder import Feeder, feeder_for
from workers.pipeline.feeding.overlap import warn_of_overlap
from workers.protocol.reporter import Reporter


def warnings_of(calibration: Feeder, evaluation: Feeder) -> list[str]:
    reporter = Reporter(io.StringIO())
    warn_of_overlap(calibration, evaluation, reporter)
    assert all(w.code == "evaluation_overlaps_calibration" for w in reporter.warnings)
    return [w.detail for w in reporter.warnings]


@pytest.mark.parametrize(("shared", "share"), [(0, None), (1, "2.5%"), (10, "25.0%"), (40, "100.0%")])
def test_the_share_of_evaluation_rows_that_set_the_ranges_is_told(
    npz: Any, reporter: Reporter, shared: int, share: str | None
) -> None:
    x = np.random.default_rng(0).normal(size=(100, 3, 8, 8)).astype(np.float32)
    evaluation = np.concatenate([x[:shared], x[60 : 100 - shared]])
    feeders = [
        feeder_for(describe(residual_cnn()), open_archive(npz(name, **arrays)), reporter)
        for name, arrays in (("c.npz", {"x": x[:60]}), ("e.npz", {"x": evaluation, "labels": np.arange(40)}))
    ]
    found = warnings_of(feeders[0], feeders[1])
    told = f"{share} of the evaluation samples are calibration samples too, which flatters the result."
    assert found == ([] if share is None else [told])


def texts(folder: Path, name: str, column: str, *found: str, reporter: Reporter) -> Feeder:
    path = folder / name
    path.write_text("".join(json.dumps({column: text, "label": 0}) + "\n" for text in found))
    samples = open_samples(path, preparation=None, model=model(), model_folder=folder)
    return feeder_for(model(), samples, reporter)


def test_texts_are_compared_as_they_are_written(tmp_path: Path, reporter: Reporter) -> None:
    model_folder(tmp_path)
    calibration = texts(tmp_path, "c.jsonl", "text", "one", "a much longer text than one", reporter=reporter)
    # padded to another width, and in a column of another name
    evaluation = texts(tmp_path, "e.jsonl", "review", "one", "two", reporter=reporter)
    (found,) = warnings_of(calibration, evaluation)
    assert found.startswith("50.0% ")
    assert warnings_of(texts(tmp_path, "o.jsonl", "text", "three", reporter=reporter), evaluation) == []

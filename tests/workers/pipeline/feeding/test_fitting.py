import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.contracts.problem import Problem, ProblemFound
from tests.workers.ingestion.data.minilm import model, model_folder
from workers.ingestion.data.npz import open_archive
from workers.ingestion.data.opening import open_samples
from workers.ingestion.data.samples import Samples
from workers.pipeline.feeding.fitting import refuse_misfit


def refused(wanted: Any, samples: Samples) -> Problem:
    with pytest.raises(ProblemFound) as found:
        refuse_misfit(wanted, samples)
    return found.value.problem


def texts(folder: Path, *inputs: str) -> Samples:
    model_folder(folder)
    (folder / "d.jsonl").write_text(json.dumps({"text": "a", "n": 1}))
    return open_samples(folder / "d.jsonl", preparation=None, model=model(*inputs), model_folder=folder)


def test_tokens_fit_the_inputs_that_they_were_made_for(tmp_path: Path) -> None:
    refuse_misfit(model(), texts(tmp_path))


def test_an_extent_that_varies_fits_no_fixed_one(tmp_path: Path) -> None:
    problem = refused(model(tokens=128), texts(tmp_path))
    assert problem.code == "calibration_shape_mismatch"
    assert problem.detail == "input_ids varies in its number of tokens; the model takes exactly 128."


def test_an_input_that_no_token_fills_is_missing(tmp_path: Path) -> None:
    wanted = ("input_ids", "pixel_values")
    problem = refused(model(*wanted), texts(tmp_path, *wanted))
    assert (problem.code, problem.errors[0].entry) == ("calibration_input_missing", "pixel_values")


def test_text_that_nothing_prepares_is_told_how_to_be_prepared(tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").write_text(json.dumps({"one": "a", "two": "b"}))
    samples = open_samples(tmp_path / "d.jsonl", preparation=None, model=model(), model_folder=tmp_path)
    problem = refused(model(), samples)
    assert problem.code == "preparation_missing"
    assert '"text": "one"' in (problem.hint or "")


@pytest.mark.parametrize(
    ("arrays", "code"),
    [
        ({"y": np.zeros((3, 4))}, "calibration_input_missing"),
        ({"x": np.zeros((3, 4))}, "calibration_dtype_mismatch"),
        ({"x": np.zeros((3, 5), np.int64)}, "calibration_shape_mismatch"),
        ({"x": np.zeros((3, 4, 1), np.int64)}, "calibration_shape_mismatch"),
    ],
)
def test_columns_of_other_names_types_and_extents_are_refused(npz: Any, arrays: Any, code: str) -> None:
    assert refused(model("x", tokens=4), open_archive(npz(**arrays))).code == code

"""A file that is not right on every CPU says so; one that is, says what that costs here."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.contracts.recipes.presets import PRESETS
from tests.workers.pipeline.jobs import quantized
from tests.workers.quantization.small_models import two_matmuls
from workers.pipeline.pair_limit import tell_of_pair_limit
from workers.protocol.processor import cpu_has_vnni
from workers.protocol.reporter import Reporter


@pytest.mark.parametrize("preset", ["int8-fast", "int8-dynamic"])
@pytest.mark.parametrize("reduce_range", [True, False, "auto"])
def test_the_result_says_where_the_file_is_exact(tmp_path: Path, preset: str, reduce_range: Any) -> None:
    x = np.random.default_rng(0).normal(size=(16, 3, 16)).astype(np.float32)
    result = quantized(tmp_path, two_matmuls(), {"x": x}, preset=preset, reduce_range=reduce_range)
    limited = not cpu_has_vnni() if reduce_range == "auto" else reduce_range
    assert result.recipe.reduce_range is limited
    assert ("pair_limit_left_out" in [warning.code for warning in result.warnings]) is not limited
    assert "operator_left_in_float" not in [warning.code for warning in result.warnings]  # for sums that saturate here
    if preset == "int8-fast":
        schemes = [layer.figures.scheme for layer in result.layers if layer.figures]
        assert [("neighbours limited" in scheme) for scheme in schemes] == [limited, limited]


@pytest.mark.parametrize(
    ("preset", "reduce_range", "has_vnni", "told"),
    [
        ("int8-fast", True, True, ["log"]),
        ("int8-fast", True, False, []),
        ("int8-fast", False, True, ["warning"]),
        ("int8-dynamic", False, False, ["warning"]),
        ("float16", True, True, []),
    ],
)
def test_one_sentence_at_most(
    preset: Any, reduce_range: bool, has_vnni: bool, told: list[str], reporter: Reporter, events: Any
) -> None:
    recipe = PRESETS[preset]
    if preset != "float16":
        recipe = recipe.model_copy(update={"reduce_range": reduce_range})
    tell_of_pair_limit(recipe, reporter, has_vnni=has_vnni)
    found = events()
    assert [event["event"] for event in found] == told
    if told:
        assert "VNNI" in json.dumps(found)

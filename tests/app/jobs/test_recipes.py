"""A job shows its recipe as far as its method reads it, and what it shows can be asked for again."""

from typing import Any

import httpx2
import pytest

from app.contracts.recipes.names import PresetName
from app.contracts.recipes.presets import PRESETS
from tests.app.contracts.inspections import data, model
from tests.app.jobs.conftest import MakeJob, Ready

WHOLE = model(("x", "float32", ("n", 4)), outputs=[("y", "float32", ("n", 2))])
ROWS = data(("x", "float32", (99, 4)))


@pytest.fixture
def asked(http: httpx2.Client, ready: Ready, make_shown_job: MakeJob) -> Any:
    """The recipe that a job shows which was made with one. `make_shown_job` removes it."""
    named = {"model_id": ready(WHOLE), "calibration_dataset_id": ready(ROWS)}

    def ask(recipe: Any) -> Any:
        made = http.post("/v1/jobs", json={**named, "recipe": recipe})
        assert made.status_code == 202, made.text
        return http.get(f"/v1/jobs/{made.json()['id']}").json()["recipe"]

    return ask


@pytest.mark.parametrize("preset", PRESETS)
def test_the_recipe_of_a_job_can_be_asked_for_again(preset: PresetName, asked: Any) -> None:
    shown = asked({"preset": preset})
    assert shown == PRESETS[preset].model_dump(mode="json")
    assert asked(shown) == shown


def test_a_job_from_before_shows_what_its_method_reads(
    http: httpx2.Client, ready: Ready, make_shown_job: MakeJob, tenant: tuple[str, str], asked: Any
) -> None:
    before = {**PRESETS["int8-accurate"].model_dump(mode="json"), "preset": "float16", "method": "float16"}
    job = make_shown_job(
        tenant_id=tenant[0], model_id=ready(WHOLE), calibration_dataset_id=ready(ROWS), target="onnxruntime-cpu",
        recipe=before, objective={}, benchmark={},
    )  # fmt: skip
    shown = http.get(f"/v1/jobs/{job.id}").json()["recipe"]
    assert shown == PRESETS["float16"].model_dump(mode="json")
    assert [listed["recipe"] for listed in http.get("/v1/jobs").json()["data"]] == [shown]
    assert asked(shown) == shown


def test_the_schema_says_which_methods_read_a_field(http: httpx2.Client) -> None:
    fields = http.get("/v1/recipes/schema").json()["properties"]
    assert fields["equalize"]["x-methods"] == ["static"]
    assert fields["reduce_range"]["x-methods"] == ["static", "dynamic"]
    component = http.get("/openapi.json").json()["components"]["schemas"]["RecipeRequest"]
    assert {name: field["x-methods"] for name, field in component["properties"].items() if name != "preset"} == {
        name: field["x-methods"] for name, field in fields.items() if name != "preset"
    }

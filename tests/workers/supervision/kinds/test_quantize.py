"""What the process of a quantize job is given, and what is believed of its outcome."""

from typing import Any

import pytest
from sqlalchemy.orm import Session

from app.contracts.objective import Benchmark, Objective
from app.contracts.recipes.dynamic import DynamicRecipe
from app.contracts.recipes.presets import PRESETS
from app.contracts.result import Environment, LayerReport, Metrics, OutputFile, QuantizeOutcome, VariantOutcome
from app.settings import Settings
from app.tables import Dataset, Job, Model, ModelFile
from tests.workers.supervision.conftest import SHA256
from tests.workers.supervision.kinds.conftest import DATA_SHA256, IMAGE, TEXT, add, dataset, job, model
from workers.protocol.step_keys import step_keys
from workers.protocol.tasks import TASK, QuantizeTask
from workers.supervision.abnormal_end import OutputUnusable
from workers.supervision.brief import Brief
from workers.supervision.kinds.quantize import Quantize, _variant, require_consistent


def quantize(
    session: Session, of: Model, data: Dataset, evaluation: Dataset | None = None, *, recipe: Any = None
) -> Brief[QuantizeTask]:
    wanted = job(
        "quantize",
        model_id=of.id,
        calibration_dataset_id=data.id,
        evaluation_dataset_id=evaluation.id if evaluation else None,
        target="onnxruntime-cpu",
        recipe=recipe or PRESETS["int8-fast"].model_dump(mode="json"),
        objective=Objective().model_dump(mode="json"),
        benchmark=Benchmark().model_dump(mode="json"),
        seed=0,
    )
    return Quantize().brief(session, wanted, Settings())


def test_a_job_reads_the_canonical_files_in_a_folder_of_their_own(session: Session) -> None:
    row = model(session, file_format="archive", name="bert.tar.gz")
    for name, sha256 in (("model.onnx", "1" * 64), ("tokenizer.json", "2" * 64)):
        add(session, ModelFile(model_id=row.id, name=name, bytes=1, sha256=sha256))
    data = dataset(session, "jsonl", inspection={"preparation": TEXT.model_dump(mode="json")})
    other = dataset(session, "csv", preparation=TEXT.model_dump(mode="json"))
    brief = quantize(session, row, data, other)
    assert brief.digests == {
        "model/model.onnx": "1" * 64,
        "model/tokenizer.json": "2" * 64,
        "calibration.jsonl": DATA_SHA256,
        "evaluation.csv": DATA_SHA256,
    }
    task = brief.task
    assert (task.model, task.model_name) == ("model/model.onnx", "bert")
    assert (task.calibration, task.calibration_preparation) == ("calibration.jsonl", TEXT)
    assert (task.evaluation, task.evaluation_preparation) == ("evaluation.csv", TEXT)
    # both are the same bytes, prepared alike
    assert task.provenance["evaluation_sha256"] == task.provenance["calibration_sha256"] != DATA_SHA256


def test_a_job_from_before_whose_recipe_holds_what_its_method_does_not_read_runs(session: Session) -> None:
    of_old = {**PRESETS["int8-accurate"].model_dump(mode="json"), "preset": "int8-dynamic", "method": "dynamic"}
    task = quantize(session, model(session), dataset(session, "npz"), recipe=of_old).task
    assert task.recipe == PRESETS["int8-dynamic"]
    assert TASK.validate_json(task.model_dump_json()) == task


def test_a_job_on_a_model_of_before_reads_its_upload(session: Session) -> None:
    brief = quantize(session, model(session), dataset(session, "npz"))
    assert brief.digests == {"model/model.onnx": SHA256, "calibration.npz": DATA_SHA256}
    task = brief.task
    assert task.provenance | {"job_id": ""} == {
        "job_id": "",
        "model_sha256": SHA256,
        "calibration_sha256": DATA_SHA256,
    }
    assert (task.calibration_preparation, task.evaluation, task.evaluation_preparation) == (None, None, None)


def test_images_without_a_preparation_get_the_models(session: Session) -> None:
    row = model(session, inspection={"image_preparation": IMAGE.model_dump(mode="json")})
    assert quantize(session, row, dataset(session, "images")).task.calibration_preparation == IMAGE
    assert quantize(session, row, dataset(session, "npz")).task.calibration_preparation is None
    own = IMAGE.model_copy(update={"height": 9})
    declared = dataset(session, "images", preparation=own.model_dump(mode="json"))
    assert quantize(session, row, declared).task.calibration_preparation == own


def test_one_file_in_two_preparations_shares_no_step(session: Session) -> None:
    row = model(session)
    keys = set()
    for preparation in (TEXT, TEXT.model_copy(update={"max_length": 7}), None):
        declared = preparation.model_dump(mode="json") if preparation else None
        data = dataset(session, "jsonl", preparation=declared)
        keys |= {step.key for step in step_keys(quantize(session, row, data).task).whole if step.name == "calibrate"}
    assert len(keys) == 3


def test_a_variant_keeps_its_own_layers_in_their_order() -> None:
    layers = tuple(LayerReport(node=n, op_type="Conv", quantized=n == "b", reason="why") for n in ("b", "a"))
    metrics = Metrics(size_bytes=1)
    found = VariantOutcome(key="k", role="candidate", label="l", metrics=metrics, admissible=True, layers=layers)
    row = _variant(Job(id="job_1", tenant_id="tnt_1"), found, best=True)
    assert row.layers == [
        {"node": "b", "op_type": "Conv", "quantized": True, "reason": "why", "figures": None},
        {"node": "a", "op_type": "Conv", "quantized": False, "reason": "why", "figures": None},
    ]


def outcome(*paths: str, variants: tuple[str, ...] = ()) -> QuantizeOutcome:
    """Each path with the variant of the same place, where there is one."""
    others = tuple(
        VariantOutcome(key=key, role="candidate", label=key, metrics=Metrics(size_bytes=1), admissible=True)
        for key in variants
    )
    owners = (*variants, *[None] * (len(paths) - len(variants)))
    baseline = VariantOutcome(
        key="float", role="baseline", label="float", metrics=Metrics(size_bytes=1), admissible=True
    )
    environment = Environment(
        runtime="r", runtime_version="1", cpu="c", cpu_has_vnni=False, threads=1, python="3", lowbit="0"
    )
    return QuantizeOutcome(
        outcome="no_objective",
        verdict="v",
        best="float",
        pareto=("float",),
        variants=(baseline, *others),
        files=tuple(
            OutputFile(path=path, kind="report", media_type="application/json", variant_key=owner)
            for path, owner in zip(paths, owners, strict=True)
        ),
        layers=(),
        recipe=DynamicRecipe(preset="int8-dynamic"),
        environment=environment,
        warnings=(),
    )


def test_each_file_is_named_once() -> None:
    """Named ten thousand times, a file would be read and stored ten thousand times."""
    require_consistent(outcome("a.json", "b.json"))
    with pytest.raises(OutputUnusable):
        require_consistent(outcome("a.json", "a.json"))


def test_a_portable_file_belongs_to_two_variants_and_to_no_third() -> None:
    require_consistent(outcome("a.onnx", "a.onnx", variants=("minmax", "minmax_ort")))
    with pytest.raises(OutputUnusable):
        require_consistent(outcome("a.onnx", "a.onnx", "a.onnx", variants=("one", "two", "three")))

"""What the process found is stored as it came."""

import pytest

from app.contracts.recipe import Recipe
from app.contracts.result import Environment, LayerReport, Metrics, OutputFile, QuantizeOutcome, VariantOutcome
from app.tables import Job
from workers.supervision.abnormal_end import OutputUnusable
from workers.supervision.record import _variant, require_consistent


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
        recipe=Recipe(preset="int8-dynamic"),
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

"""What the process found is stored as it came."""

from app.contracts.result import LayerReport, Metrics, VariantOutcome
from app.tables import Job
from workers.supervision.record import _variant


def test_a_variant_keeps_its_own_layers_in_their_order() -> None:
    layers = tuple(LayerReport(node=n, op_type="Conv", quantized=n == "b", reason="why") for n in ("b", "a"))
    metrics = Metrics(size_bytes=1)
    found = VariantOutcome(key="k", role="candidate", label="l", metrics=metrics, admissible=True, layers=layers)
    row = _variant(Job(id="job_1", tenant_id="tnt_1"), found, best=True)
    assert row.layers == [
        {"node": "b", "op_type": "Conv", "quantized": True, "reason": "why", "figures": None},
        {"node": "a", "op_type": "Conv", "quantized": False, "reason": "why", "figures": None},
    ]

"""What the API says about a variant."""

from typing import Literal

from pydantic import BaseModel

from app.artifacts.schemas import ArtifactRead
from app.contracts.result import LayerReport, Metrics
from app.tables import Artifact, Variant


class VariantLinks(BaseModel):
    self: str
    job: str
    layers: str


class VariantRead(BaseModel):
    id: str
    object: Literal["variant"] = "variant"
    job_id: str
    role: Literal["baseline", "candidate"]
    label: str
    calibration_method: str | None
    percentile: float | None
    metrics: Metrics
    admissible: bool
    best: bool
    artifacts: list[ArtifactRead]
    """The measured model first. One in operators of the runtime's own is followed by its portable form."""
    links: VariantLinks

    @classmethod
    def of(cls, row: Variant, artifacts: list[Artifact]) -> "VariantRead":
        fields = {name: getattr(row, name) for name in cls.model_fields if hasattr(row, name)}
        own = sorted((a for a in artifacts if a.variant_id == row.id), key=lambda a: a.id)
        fields["artifacts"] = [ArtifactRead.of(a) for a in own]
        here = f"/v1/variants/{row.id}"
        fields["links"] = {"self": here, "job": f"/v1/jobs/{row.job_id}", "layers": f"{here}/layers"}
        return cls.model_validate(fields)


class LayerList(BaseModel):
    """What became of each operator that could have been quantized, in the order of the graph."""

    object: Literal["list"] = "list"
    variant_id: str
    data: list[LayerReport]
    """None of the float baseline."""
    has_more: Literal[False] = False

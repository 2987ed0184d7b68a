"""What the API says about a variant."""

from typing import Literal

from pydantic import BaseModel

from app.artifacts.schemas import ArtifactRead
from app.contracts.result import Metrics
from app.tables import Artifact, Variant


class VariantLinks(BaseModel):
    self: str
    job: str


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
    links: VariantLinks

    @classmethod
    def of(cls, row: Variant, artifacts: list[Artifact]) -> "VariantRead":
        fields = {name: getattr(row, name) for name in cls.model_fields if hasattr(row, name)}
        fields["artifacts"] = [ArtifactRead.of(a) for a in artifacts if a.variant_id == row.id]
        fields["links"] = {"self": f"/v1/variants/{row.id}", "job": f"/v1/jobs/{row.job_id}"}
        return cls.model_validate(fields)

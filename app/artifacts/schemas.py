"""What the API says about an artifact."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel

from app.tables import Artifact


class ArtifactLinks(BaseModel):
    self: str
    content: str


class ArtifactRead(BaseModel):
    id: str
    object: Literal["artifact"] = "artifact"
    job_id: str
    variant_id: str | None
    kind: Literal["model", "model_data", "report"]
    filename: str
    media_type: str
    bytes: int
    sha256: str
    created_at: datetime
    links: ArtifactLinks

    @classmethod
    def of(cls, row: Artifact) -> "ArtifactRead":
        here = f"/v1/artifacts/{row.id}"
        fields = {name: getattr(row, name) for name in cls.model_fields if hasattr(row, name)}
        return cls.model_validate({**fields, "links": {"self": here, "content": f"{here}/content"}})

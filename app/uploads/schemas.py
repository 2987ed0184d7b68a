"""What a client sends to upload a file in parts, and what it gets back."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from app.contracts.problem import Problem
from app.contracts.status import UploadStatus
from app.files.schemas import FileRead
from app.files.sniff import Purpose
from app.storage import Part
from app.storage.staging import MAX_PARTS
from app.tables import File, Upload
from app.uploads.layout import Layout

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$", description="Lower-case hexadecimal digits.")]
PartNumber = Annotated[int, Field(ge=1, le=MAX_PARTS)]


class UploadCreate(BaseModel):
    model_config = ConfigDict(extra="forbid")

    filename: Annotated[str, Field(max_length=1024)]
    bytes: Annotated[int, Field(ge=0, lt=2**63)]
    purpose: Purpose
    sha256: Sha256 | None = Field(default=None, description="If it is known: a file that is here is not sent again.")


class PartNumbers(BaseModel):
    model_config = ConfigDict(extra="forbid")

    numbers: Annotated[list[PartNumber], Field(min_length=1, max_length=1000)]


class PartName(BaseModel):
    """A part as the answer to its PUT named it."""

    model_config = ConfigDict(extra="forbid")

    number: PartNumber
    etag: Annotated[str, Field(min_length=1, max_length=200)]


class UploadComplete(BaseModel):
    model_config = ConfigDict(extra="forbid")

    parts: Annotated[list[PartName], Field(min_length=1, max_length=MAX_PARTS)]
    sha256: Sha256 | None = Field(default=None, description="Of the whole file; required unless it was named before.")


class PartRead(BaseModel):
    number: int
    bytes: int
    etag: str

    @classmethod
    def of(cls, part: Part) -> "PartRead":
        return cls(number=part.number, bytes=part.bytes, etag=part.etag)


class PartUrl(BaseModel):
    """Where to PUT the bytes of a part. An address of this service (it begins with `/v1`) needs the key, others must
    not get it.
    """

    number: int
    url: str
    headers: dict[str, str]
    expires_at: datetime


class PartUrls(BaseModel):
    parts: list[PartUrl]


class UploadLinks(BaseModel):
    self: str
    part_urls: str
    complete: str


class UploadRead(BaseModel):
    id: str
    object: Literal["upload"] = "upload"
    filename: str
    purpose: Purpose
    bytes: int
    sha256: str | None
    part_bytes: int
    part_count: int
    status: UploadStatus
    deduplicated: bool = Field(default=False, description="The file was here already; nothing is to be sent.")
    file: FileRead | None
    problem: Problem | None
    """Why it failed; the same object that a refused request would carry."""
    created_at: datetime
    expires_at: datetime
    links: UploadLinks

    @classmethod
    def of(cls, row: Upload, file: File | None = None, **more: Any) -> Self:  # noqa: ANN401  fields of subclasses
        here = f"/v1/uploads/{row.id}"
        fields = {name: getattr(row, name) for name in cls.model_fields if hasattr(row, name)}
        fields["part_count"] = layout_of(row).part_count
        fields["file"] = FileRead.of(file) if file else None
        fields["links"] = {"self": here, "part_urls": f"{here}/part-urls", "complete": f"{here}/complete"}
        return cls.model_validate({**fields, **more})


class UploadCreated(UploadRead):
    parts: list[PartUrl] = Field(
        description="Of the first parts; `part-urls` has the others. None in a repeated answer."
    )

    def without_part_urls(self) -> Self:
        """The form that may be kept: a presigned address is a key."""
        return self.model_copy(update={"parts": []})


class UploadProgress(UploadRead):
    received: list[PartRead]
    missing: list[int]


def layout_of(row: Upload) -> Layout:
    return Layout(row.bytes, row.part_bytes)

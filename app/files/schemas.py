"""What the API says about a file."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel

from app.files.sniff import Format, Purpose
from app.tables import File


class FileLinks(BaseModel):
    self: str
    content: str


class FileRead(BaseModel):
    id: str
    object: Literal["file"] = "file"
    filename: str
    purpose: Purpose
    format: Format
    bytes: int
    sha256: str
    created_at: datetime
    links: FileLinks

    @classmethod
    def of(cls, row: File) -> "FileRead":
        here = f"/v1/files/{row.id}"
        return cls.model_validate(
            {
                **{name: getattr(row, name) for name in ("id", "filename", "purpose", "format", "bytes", "sha256")},
                "created_at": row.created_at,
                "links": {"self": here, "content": f"{here}/content"},
            }
        )

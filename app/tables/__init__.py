"""The database's tables, one to a file. Importing this package registers them all with `Base.metadata`."""

from app.tables.api_key import ApiKey
from app.tables.artifact import Artifact
from app.tables.base import Base
from app.tables.dataset import Dataset
from app.tables.file import File
from app.tables.job import Job
from app.tables.model import Model
from app.tables.tenant import DEFAULT_TENANT_ID, Tenant
from app.tables.variant import Variant

__all__ = [
    "DEFAULT_TENANT_ID",
    "ApiKey",
    "Artifact",
    "Base",
    "Dataset",
    "File",
    "Job",
    "Model",
    "Tenant",
    "Variant",
]

"""The database's tables, one to a file. Importing this package registers them all with `Base.metadata`."""

from app.tables.api_key import ApiKey
from app.tables.artifact import Artifact
from app.tables.audit_entry import AuditEntry
from app.tables.base import Base
from app.tables.dataset import Dataset
from app.tables.file import File
from app.tables.idempotency_key import IdempotencyKey
from app.tables.job import Job
from app.tables.job_event import JobEvent
from app.tables.job_step import JobStep
from app.tables.model import Model
from app.tables.model_file import ModelFile
from app.tables.tenant import DEFAULT_TENANT_ID, Tenant
from app.tables.upload import Upload
from app.tables.variant import Variant
from app.tables.webhook import Webhook, WebhookDelivery
from app.tables.worker import Worker

__all__ = [
    "DEFAULT_TENANT_ID",
    "ApiKey",
    "Artifact",
    "AuditEntry",
    "Base",
    "Dataset",
    "File",
    "IdempotencyKey",
    "Job",
    "JobEvent",
    "JobStep",
    "Model",
    "ModelFile",
    "Tenant",
    "Upload",
    "Variant",
    "Webhook",
    "WebhookDelivery",
    "Worker",
]

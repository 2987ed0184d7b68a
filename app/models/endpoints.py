"""Models over HTTP."""

from app.inspected.endpoints import inspected_router
from app.models.schemas import ModelRead
from app.tables import Model

router = inspected_router(Model, ModelRead, path="models")

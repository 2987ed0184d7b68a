"""Models over HTTP."""

from app.inspected.endpoints import inspected_router
from app.inspected.schemas import InspectedCreate
from app.models.schemas import ModelRead
from app.tables import Model

router = inspected_router(Model, InspectedCreate, ModelRead, path="models")

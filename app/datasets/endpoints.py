"""Data sets over HTTP."""

from app.datasets.schemas import DatasetRead
from app.inspected.endpoints import inspected_router
from app.tables import Dataset

router = inspected_router(Dataset, DatasetRead, path="datasets")

"""Data sets over HTTP."""

from app.datasets.schemas import DatasetCreate, DatasetRead
from app.inspected.endpoints import inspected_router
from app.tables import Dataset

router = inspected_router(Dataset, DatasetCreate, DatasetRead, path="datasets")

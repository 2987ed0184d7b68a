"""Calibration or evaluation data."""

from app.tables.base import Base
from app.tables.inspected import Inspected


class Dataset(Inspected, Base):
    __tablename__ = "datasets"

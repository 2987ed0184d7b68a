"""Calibration or evaluation data."""

from sqlalchemy.orm import Mapped

from app.tables.base import Base, JsonObject
from app.tables.inspected import Inspected


class Dataset(Inspected, Base):
    __tablename__ = "datasets"

    preparation: Mapped[JsonObject | None]
    """How rows become a model's inputs, as declared. What holds is in the inspection, once there is one."""

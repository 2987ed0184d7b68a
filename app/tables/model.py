"""A float model, as uploaded."""

from app.tables.base import Base
from app.tables.inspected import Inspected


class Model(Inspected, Base):
    __tablename__ = "models"

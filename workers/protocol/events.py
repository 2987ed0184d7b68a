"""What the job's process says while it works: one event a line."""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from app.contracts.model import Contract
from app.contracts.status import Stage
from workers.protocol.step_keys import PartName, StepName

MAX_EVENT_BYTES = 8 * 1024


Count = Annotated[int, Field(ge=0, le=2**53)]
"""What every reader of JSON can hold exactly."""


class StageEvent(Contract):
    event: Literal["stage"] = "stage"
    stage: Stage


class ProgressEvent(Contract):
    event: Literal["progress"] = "progress"
    completed: Count
    total: Count
    unit: str = Field(max_length=32)


class WarningEvent(Contract):
    event: Literal["warning"] = "warning"
    code: str
    detail: str


class LogEvent(Contract):
    event: Literal["log"] = "log"
    level: Literal["info", "warning", "error"]
    message: str


class StepEvent(Contract):
    """A step is done, and its result complete: it may be kept for others."""

    event: Literal["step"] = "step"
    name: StepName
    part: PartName | None = None
    """Of a candidate: what it is called among those of its recipe."""
    file: str
    """Name in the folder of steps."""


class ReusedEvent(Contract):
    """A step was skipped: its result was there, and sound."""

    event: Literal["reused"] = "reused"
    name: StepName
    part: PartName | None = None


AnyEvent = StageEvent | ProgressEvent | WarningEvent | LogEvent | StepEvent | ReusedEvent


Event = Annotated[AnyEvent, Field(discriminator="event")]


EVENT: TypeAdapter[Event] = TypeAdapter(Event)

"""What endpoints need besides the database: the settings and the object store of this process."""

from typing import Annotated, NamedTuple, cast

from fastapi import Depends, Request

from app.settings import Settings
from app.storage import ObjectStore


class ServiceSet(NamedTuple):
    settings: Settings
    store: ObjectStore


async def _services(request: Request) -> ServiceSet:  # asynchronous, or FastAPI would ask a thread for it
    return cast("ServiceSet", request.app.state.services)


Services = Annotated[ServiceSet, Depends(_services)]

"""Who a request comes from. The tenant follows from the key and from nothing else."""

from typing import Annotated, NamedTuple, cast

from fastapi import Depends, Request


class Principal(NamedTuple):
    key_id: str
    tenant_id: str


def principal_of(request: Request) -> Principal:
    return cast("Principal", request.state.principal)


Caller = Annotated[Principal, Depends(principal_of)]

"""The verbs that models and data sets share, over HTTP."""

from dataclasses import dataclass
from typing import Any, Generic

from fastapi import APIRouter, Request, Response
from sqlalchemy import select

from app.auth.principal import Caller
from app.changes.waiting import Changes, PreferredWait, until
from app.contracts.status import ResourceStatus
from app.files import service as files
from app.idempotency.dependency import OncePerKey
from app.idempotency.service import PROBLEMS
from app.inspected import service
from app.inspected.schemas import InspectedCreate, InspectedRead
from app.inspected.service import Kind, Resource
from app.pagination import Listing, PageQuery, listing, one_page
from app.problems import documented
from app.tables import File
from app.transaction import Transaction, tenant_session


@dataclass(frozen=True)
class Shapes(Generic[Resource]):
    """What one kind of resource is over HTTP: its rows, its request and its answer."""

    table: type[Resource]
    wanted: type[InspectedCreate]
    schema: type[InspectedRead]
    path: str

    @property
    def kind(self) -> Kind:
        return service.kind_of(self.table)

    @property
    def singular(self) -> str:
        return self.path.removesuffix("s")


def inspected_router(
    table: type[Resource], wanted: type[InspectedCreate], schema: type[InspectedRead], *, path: str
) -> APIRouter:
    """A router for one kind of resource: create, list, get, delete."""
    router = APIRouter(prefix=f"/v1/{path}", tags=[path])
    shapes = Shapes(table, wanted, schema, path)
    _add_create(router, shapes)
    _add_list(router, shapes)
    _add_get(router, shapes)
    _add_delete(router, shapes)
    return router


def _add_create(router: APIRouter, shapes: Shapes[Resource]) -> None:
    table, wanted, schema, path = shapes.table, shapes.wanted, shapes.schema, shapes.path

    @router.post(
        "",
        status_code=201,
        response_model=schema,
        operation_id=f"create_{shapes.singular}",
        summary=f"Make a {shapes.kind.noun} of an uploaded file; a worker inspects it",
        responses=documented(
            "not_found",
            "file_purpose_mismatch",
            *shapes.kind.refusals,
            "concurrency_limit",
            "malformed_json",
            "body_too_large",
            *PROBLEMS,
        ),
    )
    async def create(
        body: wanted,  # type: ignore[valid-type]  # the class is a value here
        response: Response,
        caller: Caller,
        session: Transaction,
        once: OncePerKey,
    ) -> InspectedRead | Response:
        async def work() -> InspectedRead:
            row = await service.create(session, table, body, tenant_id=caller.tenant_id)
            response.headers["Location"] = f"/v1/{path}/{row.id}"
            return schema.of(row, await files.get(session, row.file_id, tenant_id=caller.tenant_id))

        return await once.run(body, work)


def _add_list(router: APIRouter, shapes: Shapes[Resource]) -> None:
    table, schema, kind = shapes.table, shapes.schema, shapes.kind

    @router.get(
        "",
        response_model=Listing[schema],  # type: ignore[valid-type]  # the class is a value here
        operation_id=f"list_{shapes.path}",
        summary=f"List {kind.noun}s, newest first",
        responses=documented("invalid_cursor"),
    )
    async def list_page(page: PageQuery, caller: Caller, session: Transaction) -> dict[str, Any]:
        joined = select(table, File).join(File, File.id == table.file_id).where(table.tenant_id == caller.tenant_id)
        rows = (await session.execute(one_page(joined, table.id, page, prefix=kind.prefix))).all()
        return listing([schema.of(row, file) for row, file in rows], page)


def _add_get(router: APIRouter, shapes: Shapes[Resource]) -> None:
    table, schema = shapes.table, shapes.schema

    @router.get(
        "/{resource_id}",
        response_model=schema,
        operation_id=f"get_{shapes.singular}",
        summary=f"Get a {shapes.kind.noun}; `Prefer: wait=30` answers when its inspection is over",
        responses=documented("not_found"),
    )
    async def get(
        resource_id: str, request: Request, caller: Caller, wait: PreferredWait, hub: Changes
    ) -> InspectedRead:
        async def read() -> InspectedRead:
            async with tenant_session(request) as session:
                row = await service.get(session, table, resource_id, tenant_id=caller.tenant_id)
                return schema.of(row, await files.get(session, row.file_id, tenant_id=caller.tenant_id))

        def settled(seen: InspectedRead) -> bool:
            return seen.status != ResourceStatus.INSPECTING

        return await until(read, settled, seconds=wait, hub=hub, keys=[resource_id])


def _add_delete(router: APIRouter, shapes: Shapes[Resource]) -> None:
    @router.delete(
        "/{resource_id}",
        status_code=204,
        operation_id=f"delete_{shapes.singular}",
        summary=f"Forget a {shapes.kind.noun} that no job names",
        responses=documented("not_found", "resource_in_use"),
    )
    async def delete(resource_id: str, caller: Caller, session: Transaction) -> None:
        await service.delete(session, shapes.table, resource_id, tenant_id=caller.tenant_id)

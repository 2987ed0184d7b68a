"""Puts the API together: routers, handlers, and the layers that wrap every request."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio.to_thread
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from app.artifacts.endpoints import router as artifacts
from app.auth.gate import PUBLIC_PATHS, PUBLIC_PREFIXES, Gate
from app.contracts.problem import Problem
from app.database import make_engine, make_sessions
from app.datasets.endpoints import router as datasets
from app.files.endpoints import router as files
from app.files.reception import sweep, uploads_folder
from app.health.endpoints import router as health
from app.jobs.announce import Announcer
from app.jobs.endpoints import router as jobs
from app.jobs.upkeep import keep_up
from app.middleware.body_limit import BodyLimit
from app.middleware.host_check import HostCheck
from app.middleware.request_log import RequestLog
from app.models.endpoints import router as models
from app.problems import install_handlers
from app.recipes.endpoints import router as recipes
from app.services import ServiceSet
from app.settings import Settings
from app.storage.configured import configured_store
from app.variants.endpoints import router as variants
from app.version import VERSION

ROUTERS = (health, files, models, datasets, recipes, jobs, variants, artifacts)

DESCRIPTION = """Upload a float model and data, submit a job with a goal, download the quantized model with its
evidence. Errors are `application/problem+json` (RFC 9457) with a stable `code`."""


def create_app(settings: Settings) -> FastAPI:
    """The ASGI application. Nothing is connected until its lifespan starts."""
    engine = make_engine(settings.require_database_url())
    sessions = make_sessions(engine)
    announcer = Announcer(settings.require_broker_url())

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if settings.scratch_dir is not None:
            await anyio.to_thread.run_sync(sweep, uploads_folder(settings.scratch_dir))
        upkeep = asyncio.create_task(keep_up(sessions, announcer, settings))
        yield
        upkeep.cancel()
        with suppress(asyncio.CancelledError):
            await upkeep
        await engine.dispose()

    # no /docs and /redoc: the framework's pages load scripts from elsewhere
    app = FastAPI(
        title="Lowbit",
        version=VERSION,
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.sessions = sessions
    app.state.announcer = announcer
    app.state.services = ServiceSet(settings, configured_store(settings))
    for router in ROUTERS:
        app.include_router(router)
    install_handlers(app)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]  # the framework's documented way
    # the last one added is the outermost
    app.add_middleware(BodyLimit, max_bytes=settings.max_body_bytes)
    app.add_middleware(Gate, sessions=sessions)
    app.add_middleware(HostCheck, allowed=frozenset(settings.allowed_hosts))
    app.add_middleware(RequestLog)
    return app


def _openapi(app: FastAPI) -> dict[str, Any]:
    """The generated document, with the problem shape and the key that every route but the public ones asks for."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes, tags=[]
        )
        components = document.setdefault("components", {})
        schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        components.setdefault("schemas", {}).update({**schema.pop("$defs", {}), "Problem": schema})
        components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        for path, operations in document["paths"].items():
            public = path in PUBLIC_PATHS or path.startswith(PUBLIC_PREFIXES)
            for operation in operations.values():
                if public:
                    operation["responses"].pop("401", None)
                else:
                    operation["security"] = [{"key": []}]
        app.openapi_schema = document
    return app.openapi_schema

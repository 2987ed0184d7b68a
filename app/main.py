"""Puts the API together: routers, handlers, and the layers that wrap every request."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio.to_thread
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from app.artifacts.endpoints import router as artifacts
from app.audit.bookkeeping import keep_books
from app.audit.endpoints import router as audit
from app.audit.service import record
from app.auth.scopes import required, rule_for
from app.changes.hub import Hub
from app.contracts.problem import Problem
from app.database import make_engine, make_sessions
from app.datasets.endpoints import router as datasets
from app.events.endpoints import router as events
from app.events.streams import Streams
from app.files.endpoints import router as files
from app.files.reception import prepare, uploads_folder
from app.garbage.endpoints import router as garbage
from app.garbage.schedule import keep_clean
from app.health.endpoints import router as health
from app.jobs.announce import Announcer
from app.jobs.endpoints import router as jobs
from app.jobs.news import told_to
from app.jobs.shown import ShownJobs
from app.jobs.upkeep import keep_up
from app.middleware.body_limit import BodyLimit
from app.middleware.gate import PUBLIC_PATHS, PUBLIC_PREFIXES, Admission, Gate
from app.middleware.host_check import HostCheck
from app.middleware.quick_status import QuickStatus
from app.middleware.rate_limit import RateLimit
from app.middleware.request_log import RequestLog
from app.middleware.strict_json import StrictJson
from app.models.endpoints import router as models
from app.observability.endpoints import router as observability
from app.observability.scrape import Scrapes
from app.observability.tracing import request_telemetry
from app.problems import install_handlers
from app.quotas.limits import QuotaLimits
from app.rate_limit.limiter import RateLimiter
from app.rate_limit.shared import SharedBuckets
from app.recipes.endpoints import router as recipes
from app.services import ServiceSet
from app.settings import Settings
from app.storage.configured import configured_store
from app.tenants.endpoints import router as tenants
from app.tokens.endpoints import router as tokens
from app.transaction import AroundCommit
from app.uploads.endpoints import router as uploads
from app.variants.endpoints import router as variants
from app.version import VERSION
from app.webhooks.delivery import Post
from app.webhooks.egress import Egress
from app.webhooks.endpoints import router as webhooks

ROUTERS = (
    health,
    observability,
    files,
    uploads,
    models,
    datasets,
    recipes,
    jobs,
    events,
    variants,
    artifacts,
    tokens,
    tenants,
    audit,
    garbage,
    webhooks,
)

DESCRIPTION = """Upload a float model and data, submit a job with a goal, download the quantized model with its
evidence. Errors are `application/problem+json` (RFC 9457) with a stable `code`."""


def create_app(settings: Settings) -> FastAPI:
    """The ASGI application. Nothing is connected until its lifespan starts."""
    engine = make_engine(settings.require_database_url(), query_seconds=settings.query_seconds)
    sessions = make_sessions(engine, QuotaLimits.of_settings(settings))
    announcer = Announcer(settings.require_broker_url())
    store = configured_store(settings)
    hub = Hub(settings.require_database_url())
    scrapes = Scrapes()
    egress = Egress.of(settings) if settings.webhooks_enabled else None
    admission = Admission.of(sessions, failures_per_minute=settings.auth_failures_per_minute)
    buckets = SharedBuckets(settings.require_broker_url())

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if settings.scratch_dir is not None:
            await anyio.to_thread.run_sync(prepare, uploads_folder(settings.scratch_dir))
        background = [
            asyncio.create_task(hub.run()),
            asyncio.create_task(keep_up(sessions, announcer, settings)),
            asyncio.create_task(keep_clean(sessions, store, settings)),
            asyncio.create_task(keep_books(admission.books, sessions)),
        ]
        if egress is not None:
            post = Post(sessions, egress, scrapes.instruments.webhook_attempts)
            background.append(asyncio.create_task(post.run()))
        yield
        for task in background:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await buckets.close()
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
        telemetry=request_telemetry(),
    )
    app.state.sessions = sessions
    app.state.announcer = announcer
    app.state.hub = hub
    app.state.shown_jobs = shown_jobs = ShownJobs(hub)
    app.state.streams = Streams(sessions, hub, max_per_key=settings.max_streams_per_key)
    app.state.scrapes = scrapes
    app.state.egress = egress
    app.state.services = ServiceSet(settings, store)
    app.state.around_commit = AroundCommit(before=(record,), after=(told_to(announcer, shown_jobs),))
    for router in ROUTERS:
        app.include_router(router)
    install_handlers(app)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]  # the framework's documented way
    # the last one added is the outermost
    app.add_middleware(StrictJson)
    app.add_middleware(BodyLimit, max_bytes=settings.max_body_bytes)
    app.add_middleware(QuickStatus, shown_jobs=shown_jobs)
    app.add_middleware(RateLimit, limiter=RateLimiter(buckets), per_minute=settings.rate_limit_per_minute)
    also_public = frozenset({"/metrics"} if settings.metrics_public else ())
    app.add_middleware(Gate, admission=admission, also_public=also_public)
    app.add_middleware(HostCheck, allowed=frozenset(settings.allowed_hosts))
    app.add_middleware(RequestLog, instruments=scrapes.instruments)
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
            for method, operation in operations.items():
                if public:
                    for status in ("401", "403", "429"):
                        operation["responses"].pop(status, None)
                else:
                    operation["security"] = [{"key": _scopes(method, path)}]
        app.openapi_schema = document
    return app.openapi_schema


def _scopes(method: str, path: str) -> list[str]:
    """What a key needs; for bearer keys OpenAPI leaves the words to us."""
    rule = rule_for(path)
    scope = required(rule, method.upper()) if rule else None
    return [scope] if scope else []

"""`/metrics`, for Prometheus."""

from typing import Annotated, cast

from fastapi import APIRouter, Header, Request, Response
from prometheus_client.exposition import choose_encoder

from app.database import engine_sessions
from app.observability.scrape import Scrapes
from app.problems import documented

router = APIRouter(tags=["service"])


@router.get(
    "/metrics",
    operation_id="metrics",
    response_class=Response,
    responses={
        **documented(),
        200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "In the format of Prometheus."},
    },
)
async def metrics(request: Request, accept: Annotated[str, Header()] = "") -> Response:
    """Figures of this process and of the whole service."""
    scrapes = cast("Scrapes", request.app.state.scrapes)
    page = await scrapes.page(engine_sessions(request))
    encode, media_type = choose_encoder(accept)
    return Response(encode(page), media_type=media_type)

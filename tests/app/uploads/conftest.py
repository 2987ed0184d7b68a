"""The API over either store, and a worker that can be told to verify what was uploaded."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import httpx2
import pytest

from app.settings import Settings
from app.uploads import layout
from tests.app.uploads.files import PART_BYTES
from tests.servers.api import Api, running_api
from tests.servers.postgres import Database
from tests.servers.seaweedfs import S3Address
from workers.supervision.crew import Crew

IDLE_SECONDS = 0.6


@pytest.fixture(scope="session")
def database(postgres: Database) -> Database:
    """One of its own: its workers take whatever waits there."""
    return postgres.another()


@dataclass(frozen=True)
class Uploading:
    """One API and what lies below it."""

    api: Api
    http: httpx2.Client
    settings: Settings
    crew: Crew

    def verify(self) -> None:
        """What a worker does when something was completed."""
        while self.crew.run_one("inspect"):
            pass

    def staged(self) -> set[str]:
        """The uploads that take room in the store."""
        return {staged.upload_id for staged in self.crew.store.uploads.staged_uploads()}


def _on_s3(address: S3Address) -> dict[str, object]:
    asked = f"endpoint_url={address.endpoint_url}&public_endpoint_url={address.endpoint_url}&region=us-east-1"
    return {
        "storage_url": f"s3://uploads/{uuid4().hex}?{asked}&create_bucket=true",
        "s3_access_key_id": address.access_key,
        "s3_secret_access_key": address.secret_key,
    }


@pytest.fixture(scope="module", params=["directory", "s3"])
def on_either(
    request: pytest.FixtureRequest, database: Database, broker: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Uploading]:
    """For what may differ between the stores."""
    more = _on_s3(request.getfixturevalue("seaweedfs")) if request.param == "s3" else {}
    with running_uploads(database, broker, tmp_path_factory.mktemp("api"), more) as uploading:
        yield uploading


@pytest.fixture(scope="module")
def uploading(database: Database, broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Uploading]:
    """For what the API decides before it asks the store: a directory will do."""
    with running_uploads(database, broker, tmp_path_factory.mktemp("api"), {}) as uploading:
        yield uploading


@contextmanager
def running_uploads(database: Database, broker: str, folder: Path, more: dict[str, object]) -> Iterator[Uploading]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "SMALLEST_PART_BYTES", PART_BYTES)
        yield from _running(database, broker, folder, more)


def _running(database: Database, broker: str, folder: Path, more: dict[str, object]) -> Iterator[Uploading]:
    chosen = {"upload_idle_seconds": IDLE_SECONDS, "max_resumable_upload_bytes": 10**9, "reap_seconds": 0.5, **more}
    with running_api(database, broker, folder, **chosen) as api, api.client() as http:
        settings = api.app.state.services.settings
        crew = Crew.of(settings.model_copy(update={"lease_seconds": 600.0, "query_seconds": 60.0}))
        yield Uploading(api, http, settings, crew)
        crew.sessions.kw["bind"].dispose()

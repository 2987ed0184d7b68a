from collections.abc import Iterator

import httpx2
import pytest

from tests.servers.service import Service


@pytest.fixture(scope="session")
def http(service: Service) -> Iterator[httpx2.Client]:
    """A client with the admin key."""
    with service.client() as client:
        yield client

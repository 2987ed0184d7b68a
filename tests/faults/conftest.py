from collections.abc import Iterator

import pytest

from tests.faults.fleet import running_s3
from tests.servers.seaweedfs import Seaweed


@pytest.fixture(scope="package")
def s3() -> Iterator[Seaweed]:
    with running_s3() as running:
        yield running

import asyncio

import pytest

from app.observability import correlation
from app.tables import Job

EXAMPLE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
"""The example of the W3C recommendation."""


def test_the_example_of_the_recommendation_is_taken() -> None:
    assert correlation.valid_traceparent(EXAMPLE) == EXAMPLE
    fields = correlation.log_fields(request_id="req_1", traceparent=EXAMPLE)
    assert fields == {"request_id": "req_1", "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736"}


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00",
        EXAMPLE.upper(),
        EXAMPLE + "\n",
        EXAMPLE + "-more",
        EXAMPLE[:-1],
        "ff" + EXAMPLE[2:],
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-4bf92f3577b34da6a3ce929d0e0e4736-{'0' * 16}-01",
    ],
)
def test_what_is_no_traceparent_is_dropped(header: str) -> None:
    assert correlation.valid_traceparent(header) is None


def test_requests_that_run_side_by_side_do_not_mix() -> None:
    async def request(name: str) -> Job:
        correlation.begin(name, None)
        await asyncio.sleep(0)
        job = Job()
        correlation.stamp(job)
        return job

    async def both() -> list[Job]:
        return await asyncio.gather(request("req_1"), request("req_2"))

    assert [job.request_id for job in asyncio.run(both())] == ["req_1", "req_2"]


def test_a_job_that_no_request_made_carries_nothing() -> None:
    job = Job()
    asyncio.run(_stamp_in_a_fresh_context(job))
    assert job.request_id is None
    assert correlation.log_fields(request_id=None, traceparent=None) == {}


async def _stamp_in_a_fresh_context(job: Job) -> None:
    correlation.stamp(job)

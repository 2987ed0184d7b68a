"""When a request is tried again, and after how long. One that creates something is repeated only under its own key."""

from collections.abc import Iterator

PAUSES_SECONDS = (0.2, 0.5, 1.0)
"""Brief on purpose: enough for a restart of a server process, not for an outage."""

LONGEST_PAUSE_SECONDS = 10.0
"""A service that asks for more is not about to answer; the caller should know now."""


def pauses() -> Iterator[float]:
    return iter(PAUSES_SECONDS)


def retry_after(header: str | None) -> float | None:
    """Seconds of a Retry-After header. Its date form is not used by the service and reads as none."""
    if header is None or not header.strip().isdecimal():
        return None
    return float(header)


def pause_for(planned: float, header: str | None) -> float | None:
    """How long to pause before the next try after a passing refusal, or None to give up."""
    asked = retry_after(header)
    if asked is None or asked > LONGEST_PAUSE_SECONDS:
        return None
    return max(planned, asked)

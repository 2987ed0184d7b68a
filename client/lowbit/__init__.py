"""The Python client of Lowbit, a self-hosted service that quantizes neural networks.

    from lowbit import Client

Names are loaded when they are first used, so that `lowbit --help` does not wait for an HTTP library.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lowbit.client import Client
    from lowbit.errors import (
        AuthenticationProblem,
        Conflict,
        DigestMismatch,
        JobFailed,
        JobNotFinished,
        LowbitError,
        NoConnection,
        NotFound,
        ObjectiveUnmet,
        ProblemError,
        RateLimited,
        UnsuitableSource,
        ValidationProblem,
        WaitTimeout,
    )
    from lowbit.job import Job

__all__ = [
    "AuthenticationProblem",
    "Client",
    "Conflict",
    "DigestMismatch",
    "Job",
    "JobFailed",
    "JobNotFinished",
    "LowbitError",
    "NoConnection",
    "NotFound",
    "ObjectiveUnmet",
    "ProblemError",
    "RateLimited",
    "UnsuitableSource",
    "ValidationProblem",
    "WaitTimeout",
]

_HOME = {"Client": "lowbit.client", "Job": "lowbit.job"}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'lowbit' has no attribute {name!r}")
    return getattr(import_module(_HOME.get(name, "lowbit.errors")), name)


def __dir__() -> list[str]:
    return sorted(__all__)

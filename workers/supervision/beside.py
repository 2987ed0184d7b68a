"""Doing what cannot be interrupted in a thread, while looking whether to stop."""

import threading
from collections.abc import Callable
from typing import TypeVar

CHECK_SECONDS = 0.2

T = TypeVar("T")


def beside(work: Callable[[], T], check: Callable[[], None]) -> T:
    """Return what `work` does, or raise what it or `check` raises.

    A thread that is left behind by `check` ends with this process at the latest: `work` must be harmless by itself.
    """
    results: list[T] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001  raised again below
            failures.append(error)

    thread = threading.Thread(target=run, name="beside", daemon=True)
    thread.start()
    while thread.is_alive():
        check()
        thread.join(CHECK_SECONDS)
    if failures:
        raise failures[0]
    return results[0]

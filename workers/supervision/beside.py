"""Doing what cannot be interrupted in a thread, while looking whether to stop."""

import threading
from collections.abc import Callable

CHECK_SECONDS = 0.2


def beside(work: Callable[[], None], check: Callable[[], None]) -> None:
    """Return when `work` has, or raise what it or `check` raises.

    A thread that is left behind by `check` ends with this process at the latest: `work` must be harmless by itself.
    """
    failures: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001  raised again below
            failures.append(error)

    thread = threading.Thread(target=run, name="beside", daemon=True)
    thread.start()
    while thread.is_alive():
        check()
        thread.join(CHECK_SECONDS)
    if failures:
        raise failures[0]

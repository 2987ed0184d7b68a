"""News for many who wait, told to a few at a time.

A thousand streams that wake in the same turn of the event loop hold up every request until the last has written.
"""

import asyncio
from contextlib import suppress

AT_ONCE = 8
"""Streams that write in one turn of the loop: a few milliseconds' work."""


class GradualSignal:
    def __init__(self) -> None:
        self.told = 0
        """How often something has been told. Whoever is about to look remembers it first."""
        self._waiting: dict[asyncio.Future[bool], None] = {}

    async def tell(self) -> None:
        """Wake all who wait now, in the order in which they came, with turns for others in between."""
        due = self._take()
        try:
            while due:
                for _ in range(min(AT_ONCE, len(due))):
                    _answer(due.pop(), told=True)
                await asyncio.sleep(0)
        finally:  # not even a cancellation leaves somebody waiting
            for waiting in reversed(due):
                _answer(waiting, told=True)

    def tell_at_once(self) -> None:
        for waiting in reversed(self._take()):
            _answer(waiting, told=True)

    async def wait(self, told: int, *, seconds: float) -> bool:
        """Until more has been told than `told` times; False if that has not happened when the time is over."""
        if self.told != told:
            return True
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[bool] = loop.create_future()
        self._waiting[waiting] = None
        timer = loop.call_later(seconds, _answer, waiting)
        try:
            return await waiting
        finally:
            timer.cancel()
            with suppress(KeyError):
                del self._waiting[waiting]

    def _take(self) -> list[asyncio.Future[bool]]:
        """Those who wait, the first one last."""
        self.told += 1
        due = list(reversed(self._waiting))
        self._waiting = {}
        return due


def _answer(waiting: asyncio.Future[bool], *, told: bool = False) -> None:
    if not waiting.done():
        waiting.set_result(told)

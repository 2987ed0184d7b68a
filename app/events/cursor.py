"""A place in the events of all of a tenant's jobs.

Their order is that of transactions, then of jobs, then of a job's own events. A reader takes only what transactions
older than any still under way have written, so nothing can appear later at a place that it has passed. Two changes of
one job that met can come in another order than their `seq`: each names it.
"""

import re
from typing import NamedTuple, Self

_FORM = re.compile(r"(\d{1,20})-(job_[0-9a-f]{32}|)-(\d{1,18})")
_MAX_TRANSACTION = 2**64


class Cursor(NamedTuple):
    transaction: int
    job_id: str
    seq: int

    @classmethod
    def parse(cls, text: str) -> Self | None:
        found = _FORM.fullmatch(text)
        if found is None or int(found[1]) >= _MAX_TRANSACTION:
            return None
        return cls(int(found[1]), found[2], int(found[3]))

    @classmethod
    def before(cls, transaction: int) -> Self:
        """The place ahead of everything that a transaction, or a later one, has written."""
        return cls(transaction, "", 0)

    def __str__(self) -> str:
        return f"{self.transaction}-{self.job_id}-{self.seq}"

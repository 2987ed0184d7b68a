"""Answers the one question that is asked all day, how a job is, without going through the whole application.

Only a `GET` of a job that has a good answer kept (`app.jobs.shown`), by a caller whom the gate has let pass. Everything
else, and the first question after each change, takes the ordinary way and gets the same answer.
"""

import re

from starlette.types import ASGIApp, Receive, Scope, Send

from app.jobs.shown import Shown, ShownJobs

_JOB = re.compile(r"/v1/jobs/(job_[0-9a-f]{32})")


class QuickStatus:
    def __init__(self, app: ASGIApp, *, shown_jobs: ShownJobs) -> None:
        self.app = app
        self.shown_jobs = shown_jobs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "GET" and scope["path"].startswith("/v1/jobs/"):
            headers = dict(scope["headers"])
            kept = None if b"prefer" in headers else self._kept(scope)
            if kept is not None:
                given = headers.get(b"if-none-match", b"").decode("latin-1")
                await kept.response(given)(scope, receive, send)
                return
        await self.app(scope, receive, send)

    def _kept(self, scope: Scope) -> Shown | None:
        found = _JOB.fullmatch(scope["path"])
        caller = scope["state"].get("principal")
        return self.shown_jobs.peek(found[1], tenant_id=caller.tenant_id) if found and caller else None

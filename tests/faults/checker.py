"""The nine invariants, each a pure function from the evidence to its violations. An empty list is a promise kept.

I1  an acknowledged job ends in exactly one terminal state
I2  lease tokens of a job only rise, and only the attempt that ended it wrote its result
I3  every file and artifact has its object, whole and right; none appears twice
I4  every change of status is allowed; progress never falls within a stage of an attempt
I5  one job for each tenant and Idempotency-Key
I6  what is cancelled stays cancelled
I7  nobody is shown, or given, anything of another tenant
I8  nothing is left behind: processes, folders, uploads, leases, locks, connections
I9  what the service reports as stored is the sum of the rows
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple

from tests.faults.client_log import Action, Entry, Outcome
from tests.faults.evidence import Evidence, StoredRow
from tests.faults.history import Change

TERMINAL = {"succeeded", "failed", "cancelled"}
ALLOWED = {
    (None, "queued"),
    ("queued", "running"),
    ("queued", "cancelled"),
    ("running", "queued"),
    ("running", "cancelling"),
    ("running", "succeeded"),
    ("running", "failed"),
    ("cancelling", "cancelled"),
    ("cancelling", "succeeded"),
    ("cancelling", "failed"),
}
"""Written down a second time, from the documentation's drawing rather than from the service's table."""


class Violation(NamedTuple):
    invariant: str
    subject: str
    what: str


def violations(evidence: Evidence) -> list[Violation]:
    return [Violation(name, subject, what) for name, check in INVARIANTS.items() for subject, what in check(evidence)]


def acknowledged_jobs_end_once(evidence: Evidence) -> list[tuple[str, str]]:
    rows = {job.id: job for job in evidence.jobs}
    ends = Counter(c.job_id for c in _job_changes(evidence) if c.after in TERMINAL and c.before != c.after)
    found = []
    for entry in _entries(evidence, Action.SUBMIT, Outcome.OK):
        job = rows.get(entry.job_id or "")
        if job is None:
            found.append((entry.job_id or "", "acknowledged, and there is no such row"))
        elif job.status not in TERMINAL:
            found.append((job.id, f"still {job.status}"))
        elif ends[job.id] != 1:
            found.append((job.id, f"ended {ends[job.id]} times"))
    known = {subject for subject, _ in found}
    # inspections, and jobs whose acknowledgement was lost on the way, have to end as well
    found += [(j.id, f"still {j.status}") for j in evidence.jobs if j.status not in TERMINAL and j.id not in known]
    return found


def only_the_last_attempt_takes_effect(evidence: Evidence) -> list[tuple[str, str]]:
    found = []
    for job_id, changes in _by_job(evidence):
        found += [
            (job_id, f"token fell from {before.token} to {after.token}")
            for before, after in pairwise(changes)
            if after.token < before.token
        ]
        found += [
            (job_id, f"claimed twice under token {after.token}")
            for before, after in pairwise(changes)
            if after.after == "running" and before.after == "queued" and after.token <= before.token
        ]
        written = [c for before, c in pairwise(changes) if c.has_result and not before.has_result]
        if len(written) > 1 or any(c.after != "succeeded" for c in written):
            found.append((job_id, "a result was written twice, or by an attempt that did not end the job"))
    end_of = {c.job_id: c.transaction for c in _job_changes(evidence) if c.after == "succeeded" and c.has_result}
    found += [
        (part.row_id, "was not recorded together with its job's success")
        for part in evidence.changes
        if part.relation != "jobs" and end_of.get(part.job_id) != part.transaction
    ]
    return found


def artifacts_are_right_and_single(evidence: Evidence) -> list[tuple[str, str]]:
    found = []
    for row in _stored(evidence):
        stored = evidence.objects.get(f"t/{row.tenant}/sha256/{row.sha256[:2]}/{row.sha256}")
        if stored is None:
            found.append((row.id, "has no object"))
        elif (stored.bytes, stored.sha256) != (row.bytes, row.sha256):
            found.append((row.id, f"has an object of {stored.bytes} bytes and sha256 {stored.sha256}"))
    names = Counter((row.job_id, row.name) for row in evidence.artifacts)
    found += [
        (str(job_id), f"has {count} artifacts named {name}") for (job_id, name), count in names.items() if count > 1
    ]
    promised = {row.id: row.sha256 for row in evidence.artifacts}
    found += [
        (entry.artifact_id or "", "other bytes were downloaded than the row promises")
        for entry in _entries(evidence, Action.DOWNLOAD, Outcome.OK)
        if promised.get(entry.artifact_id or "") != entry.sha256
    ]
    having = {row.job_id for row in evidence.artifacts}
    for job in evidence.jobs:
        if job.kind == "quantize" and (job.status == "succeeded") != (job.id in having):
            found.append((job.id, f"{job.status}, and {'with' if job.id in having else 'without'} artifacts"))
    return found


def changes_are_allowed(evidence: Evidence) -> list[tuple[str, str]]:
    found = [
        (c.job_id, f"went from {c.before} to {c.after}")
        for c in _job_changes(evidence)
        if c.before != c.after and (c.before, c.after) not in ALLOWED
    ]
    for job_id, changes in _by_job(evidence):
        found += [
            (job_id, f"progress of {after.stage} fell from {before.fraction} to {after.fraction}")
            for before, after in pairwise(changes)
            if (before.token, before.stage) == (after.token, after.stage)
            and before.fraction is not None
            and after.fraction is not None
            and after.fraction < before.fraction
        ]
    return found


def keys_make_one_job(evidence: Evidence) -> list[tuple[str, str]]:
    answered = defaultdict(set)
    for entry in _entries(evidence, Action.SUBMIT, Outcome.OK):
        answered[entry.tenant, entry.key].add(entry.job_id)
    found = [(str(key), f"was answered with {len(ids)} jobs") for (_, key), ids in answered.items() if len(ids) > 1]
    made = Counter((job.tenant, job.key) for job in evidence.jobs if job.key is not None)
    found += [(str(key), f"made {count} jobs") for (_, key), count in made.items() if count > 1]
    return found


def cancelled_stays_cancelled(evidence: Evidence) -> list[tuple[str, str]]:
    found = [
        (c.job_id, f"was changed to {c.after} after it was cancelled")
        for c in _job_changes(evidence)
        if c.before == "cancelled"
    ]
    seen: set[str] = set()
    for entry in evidence.log:
        if entry.job_id is None or entry.job_status is None:
            continue
        if entry.job_id in seen and entry.job_status != "cancelled":
            found.append((entry.job_id, f"was shown as {entry.job_status} after it was shown as cancelled"))
        if entry.job_status == "cancelled":
            seen.add(entry.job_id)
    return found


def tenants_see_their_own(evidence: Evidence) -> list[tuple[str, str]]:
    found = [
        (foreign, f"was shown to {entry.tenant}")
        for entry in evidence.log
        for foreign in entry.ids
        if evidence.owners.get(foreign, entry.tenant) != entry.tenant
    ]
    found += [
        (entry.job_id or "", f"{entry.tenant} was answered {entry.http_status} for it")
        for entry in _entries(evidence, Action.PRY, Outcome.OK)
        if (entry.http_status or 0) < 500 and entry.http_status not in {404, 429}
    ]
    return found


def nothing_is_left_behind(evidence: Evidence) -> list[tuple[str, str]]:
    remains = evidence.remains
    found = [(line, "is a process without a job") for line in remains.job_processes]
    found += [(name, "is left in the scratch folder") for name in remains.scratch]
    found += [(key, "is a multipart upload that nobody will end") for key in remains.multipart_uploads]
    found += [(job.id, f"is leased to {job.lease_owner}") for job in evidence.jobs if job.lease_owner is not None]
    if remains.advisory_locks > remains.advisory_locks_before:
        found.append(("advisory locks", f"{remains.advisory_locks}, and {remains.advisory_locks_before} before"))
    if remains.connections > remains.connections_allowed:
        found.append(("connections", f"{remains.connections} of {remains.connections_allowed}"))
    if remains.open_transactions:
        found.append(("transactions", f"{remains.open_transactions} are open for longer than 10 s"))
    return found


def reported_use_is_the_sum(evidence: Evidence) -> list[tuple[str, str]]:
    sums: Counter[str] = Counter()
    for row in _stored(evidence):
        sums[row.tenant] += row.bytes
    return [
        (tenant, f"{reported} bytes are reported and {sums[tenant]} are stored")
        for tenant, reported in evidence.reported_bytes.items()
        if reported != sums[tenant]
    ]


INVARIANTS: dict[str, Callable[[Evidence], list[tuple[str, str]]]] = {
    "I1": acknowledged_jobs_end_once,
    "I2": only_the_last_attempt_takes_effect,
    "I3": artifacts_are_right_and_single,
    "I4": changes_are_allowed,
    "I5": keys_make_one_job,
    "I6": cancelled_stays_cancelled,
    "I7": tenants_see_their_own,
    "I8": nothing_is_left_behind,
    "I9": reported_use_is_the_sum,
}


def _stored(evidence: Evidence) -> tuple[StoredRow, ...]:
    return (*evidence.artifacts, *evidence.files, *evidence.steps, *evidence.model_files)


def _entries(evidence: Evidence, action: Action, outcome: Outcome) -> Iterator[Entry]:
    return (entry for entry in evidence.log if (entry.action, entry.outcome) == (action, outcome))


def _job_changes(evidence: Evidence) -> Iterator[Change]:
    return (change for change in evidence.changes if change.relation == "jobs")


def _by_job(evidence: Evidence) -> Iterator[tuple[str, list[Change]]]:
    found: dict[str, list[Change]] = defaultdict(list)
    for change in _job_changes(evidence):
        found[change.job_id].append(change)
    return iter(found.items())

"""What a key may do, and what each address asks for. An address that no rule names does not exist for anybody.

This table is the one place where that is decided; the gate asks it before a request reaches the application.
"""

import re
from collections.abc import Iterable
from typing import Literal, NamedTuple, get_args

Scope = Literal[
    "models:read",  # see models, data sets, files and uploads
    "models:write",  # add and remove them
    "jobs:read",  # see jobs, variants, reports and webhooks
    "jobs:write",  # start, stop and remove them
    "artifacts:read",  # download what jobs made
    "keys:admin",  # make and revoke keys of the tenant, read its audit log
    "system:read",  # metrics of the whole service
    "tenants:admin",  # tenants, their keys and quotas, everybody's jobs and audit log, garbage
]

SCOPES: tuple[Scope, ...] = get_args(Scope)
EVERYTHING = "*"
"""Held by a key in place of a list: all scopes, those of later versions too."""

OPERATOR_SCOPES: frozenset[str] = frozenset({"system:read", "tenants:admin"})
"""They reach beyond a tenant, so that only keys of the default tenant hold them, `*` or not."""

_READING = frozenset({"GET", "HEAD"})


class Rule(NamedTuple):
    """The scopes that addresses below a path ask for. None: any key will do."""

    path: str
    """`*` stands for one segment."""
    reading: Scope | None
    writing: Scope | None


RULES: tuple[Rule, ...] = (
    Rule("/v1/me", None, None),
    Rule("/v1/recipes", None, None),
    Rule("/v1/targets", None, None),
    Rule("/v1/files", "models:read", "models:write"),
    Rule("/v1/uploads", "models:read", "models:write"),
    Rule("/v1/models", "models:read", "models:write"),
    Rule("/v1/datasets", "models:read", "models:write"),
    Rule("/v1/jobs", "jobs:read", "jobs:write"),
    Rule("/v1/jobs/validate", "jobs:read", "jobs:read"),  # a question, though it is asked with POST
    Rule("/v1/events", "jobs:read", "jobs:write"),
    Rule("/v1/variants", "jobs:read", "jobs:write"),
    Rule("/v1/variants/*/bundle", "artifacts:read", "artifacts:read"),
    Rule("/v1/webhooks", "jobs:read", "jobs:write"),
    Rule("/v1/artifacts", "artifacts:read", "artifacts:read"),
    Rule("/v1/tokens", "keys:admin", "keys:admin"),
    Rule("/v1/audit", "keys:admin", "keys:admin"),
    Rule("/v1/admin", "tenants:admin", "tenants:admin"),
    Rule("/metrics", "system:read", "system:read"),
)

_LONGEST_FIRST = sorted(RULES, key=lambda rule: rule.path.count("/"), reverse=True)

_PATTERNS = ("[^/]+".join(map(re.escape, rule.path.split("*"))) for rule in _LONGEST_FIRST)
_ADDRESS = re.compile("|".join(f"({pattern}(?:/.*)?)" for pattern in _PATTERNS), re.DOTALL)
"""One group for each rule: every request is looked up, and this takes a tenth of the time of a loop."""


def rule_for(path: str) -> Rule | None:
    """The rule with the longest path that the address lies under."""
    found = _ADDRESS.fullmatch(path)
    return _LONGEST_FIRST[found.lastindex - 1] if found and found.lastindex else None


def required(rule: Rule, method: str) -> Scope | None:
    return rule.reading if method in _READING else rule.writing


def is_write(method: str, path: str) -> bool:
    """True if the request is meant to change something."""
    rule = rule_for(path)
    scope = required(rule, method) if rule else None
    return method not in _READING and scope is not None and not scope.endswith(":read")


def holds(scopes: Iterable[str], wanted: str, *, operator: bool) -> bool:
    """Whether a key with these scopes may do what `wanted` names. `operator`: it is a key of the default tenant."""
    if wanted in OPERATOR_SCOPES and not operator:
        return False
    held = frozenset(scopes)
    return EVERYTHING in held or wanted in held

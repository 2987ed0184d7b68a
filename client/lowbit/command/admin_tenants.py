"""`lowbit admin tenants`: who shares the service, and how much of it they get."""

from typing import Annotated, Any, NamedTuple

import typer

from lowbit.command.figures import size
from lowbit.command.options import AfterOption, Format, FormatOption, LimitOption, examples
from lowbit.command.printing import print_facts, print_json, print_lines, print_table
from lowbit.command.session import connected
from lowbit.resources import Tenant

tenants = typer.Typer(help="Make, list and change tenants.", no_args_is_help=True, rich_markup_mode=None)

TenantArgument = Annotated[str, typer.Argument(metavar="TENANT", help="A tenant's id.")]


class Limit(NamedTuple):
    """A number, or None for the service's own limit. An option that was not given is no Limit at all."""

    value: int | None


def limit_of(text: str) -> Limit:
    if text == "default":
        return Limit(None)
    if not text.isdecimal():
        raise typer.BadParameter(f"{text!r} is neither a number nor `default`.")
    return Limit(int(text))


def _limit_option(name: str, what: str) -> Any:  # noqa: ANN401 - typer keeps the type private
    return typer.Option(name, parser=limit_of, metavar="N|default", help=what, show_default=False)


StoredBytes = Annotated[Limit | None, _limit_option("--max-stored-bytes", "Bytes it may store.")]
QueuedJobs = Annotated[Limit | None, _limit_option("--max-queued-jobs", "Jobs that may wait at once.")]
RunningJobs = Annotated[Limit | None, _limit_option("--max-running-jobs", "Jobs that may run at once.")]
OpenUploads = Annotated[Limit | None, _limit_option("--max-open-uploads", "Uploads that may be open at once.")]
Requests = Annotated[Limit | None, _limit_option("--max-requests-per-minute", "Requests of all its keys together.")]
Weight = Annotated[
    float | None,
    typer.Option("--weight", metavar="W", help="Its share of the workers; 1 is usual.", show_default=False),
]


@tenants.command(
    epilog=examples(
        "lowbit admin tenants create research",
        "lowbit admin tenants create guests --weight 0.5 --max-running-jobs 1 --max-stored-bytes 10000000000",
    )
)
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What to call it.")],
    weight: Weight = None,
    stored_bytes: StoredBytes = None,
    queued_jobs: QueuedJobs = None,
    running_jobs: RunningJobs = None,
    open_uploads: OpenUploads = None,
    requests: Requests = None,
    output: FormatOption = Format.HUMAN,
) -> None:
    """Make a tenant. It can do nothing until it has a key: `lowbit admin keys create`."""
    limits = _limits(stored_bytes, queued_jobs, running_jobs, open_uploads, requests)
    with connected(output) as client:
        made = client.admin.create_tenant(name, **limits, **_given(weight=weight))
    _print_one(made, output)


@tenants.command("list", epilog=examples("lowbit admin tenants list"))
@tenants.command("ls", hidden=True)
def list_tenants(limit: LimitOption = 20, after: AfterOption = None, output: FormatOption = Format.HUMAN) -> None:
    """List tenants, the newest first."""
    with connected(output) as client:
        page = client.admin.tenants(limit=limit, after=after)
    if output is Format.JSON:
        print_json(page)
    elif output is Format.QUIET:
        print_lines(tenant["id"] for tenant in page["data"])
    else:
        rows = [(t["id"], t["name"], f"{t['weight']:g}", _state(t), t["created_at"]) for t in page["data"]]
        print_table(("ID", "NAME", "WEIGHT", "STATE", "CREATED"), rows)


@tenants.command(epilog=examples("lowbit admin tenants show tnt_0198..."))
def show(tenant_id: TenantArgument, output: FormatOption = Format.HUMAN) -> None:
    """Show a tenant, what it uses, and what it may use."""
    with connected(output) as client:
        tenant = client.admin.tenant(tenant_id)
    _print_one(tenant, output)


@tenants.command(
    epilog=examples(
        "lowbit admin tenants change tnt_0198... --max-queued-jobs 50 --max-stored-bytes default",
        "lowbit admin tenants change tnt_0198... --disable",
    )
)
def change(  # noqa: PLR0913, PLR0917 - each option of a command is an argument
    tenant_id: TenantArgument,
    name: Annotated[str | None, typer.Option("--name", metavar="TEXT", help="Another name.")] = None,
    weight: Weight = None,
    stored_bytes: StoredBytes = None,
    queued_jobs: QueuedJobs = None,
    running_jobs: RunningJobs = None,
    open_uploads: OpenUploads = None,
    requests: Requests = None,
    disabled: Annotated[
        bool | None, typer.Option("--disable/--enable", help="Refuse its keys, or accept them again.")
    ] = None,
    output: FormatOption = Format.HUMAN,
) -> None:
    """Change what is given, and nothing else. `default` puts a limit back to the service's own."""
    changes = _limits(stored_bytes, queued_jobs, running_jobs, open_uploads, requests)
    changes |= _given(name=name, weight=weight, disabled=disabled)
    with connected(output) as client:
        changed = client.admin.change_tenant(tenant_id, changes)
    _print_one(changed, output)


def _limits(*limits: Limit | None) -> dict[str, Any]:
    names = ("stored_bytes", "queued_jobs", "running_jobs", "open_uploads", "requests_per_minute")
    return {f"max_{name}": limit.value for name, limit in zip(names, limits, strict=True) if limit is not None}


def _given(**values: object) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _state(tenant: Tenant) -> str:
    return "disabled" if tenant["disabled_at"] else "active"


def _print_one(tenant: Tenant, output: Format) -> None:
    if output is Format.JSON:
        print_json(tenant)
    elif output is Format.QUIET:
        print_lines([tenant["id"]])
    else:
        print_facts(_facts(tenant))


def _facts(tenant: Tenant) -> dict[str, str]:
    told = {"id": tenant["id"], "name": tenant["name"], "state": _state(tenant), "weight": f"{tenant['weight']:g}"}
    told |= {key: str(value) for key, value in tenant.items() if key.startswith("max_") and value is not None}
    quotas = tenant.get("quotas", {})
    for key, used in tenant.get("usage", {}).items():
        shown = size if key == "stored_bytes" else str
        limit = quotas.get(key)
        told[key] = f"{shown(used)} of {'any number' if limit is None else shown(limit)}"
    return told

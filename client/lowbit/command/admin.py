"""`lowbit admin`: what an operator does. Needs a key of the default tenant with the scope `tenants:admin`."""

from typing import Annotated

import typer

from lowbit.command.admin_keys import keys
from lowbit.command.admin_tenants import tenants
from lowbit.command.figures import size
from lowbit.command.options import AfterOption, Format, FormatOption, LimitOption, examples
from lowbit.command.printing import print_json, print_lines, print_table
from lowbit.command.session import connected
from lowbit.resources import AuditEntry

admin = typer.Typer(
    help="Operate the service: tenants, keys, jobs that were given up, garbage, the audit log.",
    no_args_is_help=True,
    rich_markup_mode=None,
    epilog=examples("lowbit admin tenants create research --max-stored-bytes 100000000000"),
)
jobs = typer.Typer(help="Look after everybody's jobs.", no_args_is_help=True, rich_markup_mode=None)
admin.add_typer(tenants, name="tenants")
admin.add_typer(keys, name="keys")
admin.add_typer(jobs, name="jobs")


@jobs.command(epilog=examples("lowbit admin jobs requeue job_0198..."))
def requeue(
    job_id: Annotated[str, typer.Argument(metavar="JOB", help="A job's id.")], output: FormatOption = Format.HUMAN
) -> None:
    """Let a job that was given up run again, with all its attempts."""
    with connected(output) as client:
        job = client.admin.requeue(job_id)
    if output is Format.JSON:
        print_json(job)
    else:
        print_lines([job["id"] if output is Format.QUIET else f"{job['id']} is {job['status']}"])


@admin.command(epilog=examples("lowbit admin gc --dry-run", "lowbit admin gc"))
def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be removed.")] = False,  # noqa: FBT002 - a flag
    output: FormatOption = Format.HUMAN,
) -> None:
    """Remove what nothing refers to any more, rather than wait until the service does."""
    with connected(output) as client:
        found = client.admin.garbage() if dry_run else client.admin.collect_garbage()
    if output is Format.JSON:
        print_json(found)
    elif output is Format.QUIET:
        print_lines(item["name"] for item in found["items"])
    else:
        rows = [(total["kind"], str(total["count"]), size(total["bytes"])) for total in found["totals"]]
        print_table(("KIND", "REMOVED" if found["removed"] else "WOULD GO", "SIZE"), rows)


@admin.command(
    epilog=examples("lowbit admin audit --limit 50", "lowbit admin audit --tenant tnt_0198... --format json")
)
def audit(
    tenant: Annotated[str | None, typer.Option("--tenant", metavar="ID", help="Only of this tenant.")] = None,
    limit: LimitOption = 20,
    after: AfterOption = None,
    output: FormatOption = Format.HUMAN,
) -> None:
    """Show who changed what and who was turned away, the newest first."""
    with connected(output) as client:
        page = client.admin.audit(tenant_id=tenant, limit=limit, after=after)
    if output is Format.JSON:
        print_json(page)
    elif output is Format.QUIET:
        print_lines(entry["id"] for entry in page["data"])
    else:
        print_table(("ID", "TIME", "TENANT", "KEY", "ACTION", "SUBJECT"), [_row(entry) for entry in page["data"]])


def _row(entry: AuditEntry) -> tuple[str, ...]:
    what = entry["detail"].get("code", "") if entry["action"] == "rejected" else entry["subject"]
    return entry["id"], entry["created_at"], entry["tenant_id"], entry["key_id"] or "", entry["action"], what or ""

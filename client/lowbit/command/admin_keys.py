"""`lowbit admin keys`: the keys of one tenant."""

from typing import Annotated

import typer

from lowbit.command.options import Format, FormatOption, examples
from lowbit.command.printing import print_json, print_lines, print_table
from lowbit.command.session import connected
from lowbit.resources import MadeToken

keys = typer.Typer(help="Make, list and revoke a tenant's keys.", no_args_is_help=True, rich_markup_mode=None)

TenantArgument = Annotated[str, typer.Argument(metavar="TENANT", help="A tenant's id.")]

SECONDS_OF_A_DAY = 24 * 3600


@keys.command(
    epilog=examples(
        "lowbit admin keys create tnt_0198... --name ci --scope models:write --scope jobs:write --scope jobs:read",
        "lowbit admin keys create tnt_0198... --name alice --expires-in-days 90",
        "lowbit admin keys create tnt_0198... --name alice --format quiet > alice.key",
    )
)
def create(
    tenant_id: TenantArgument,
    name: Annotated[str, typer.Option("--name", metavar="TEXT", help="Whose or what for it is.")],
    scope: Annotated[
        list[str] | None, typer.Option("--scope", metavar="SCOPE", help="What it may do; may be repeated.  [all]")
    ] = None,
    days: Annotated[
        float | None, typer.Option("--expires-in-days", min=0, metavar="DAYS", help="How long it works.  [for good]")
    ] = None,
    output: FormatOption = Format.HUMAN,
) -> None:
    """Make a key. It is shown here and never again; `--format quiet` prints the key alone."""
    seconds = None if days is None else int(days * SECONDS_OF_A_DAY)
    with connected(output) as client:
        made = client.admin.create_key(tenant_id, name, scopes=scope or ["*"], expires_in_seconds=seconds)
    if output is Format.JSON:
        print_json(made)
    else:
        print_lines(_lines(made, output))


def _lines(made: MadeToken, output: Format) -> list[str]:
    """A key that was lost on the way cannot be shown again: then the service's notice says what to do."""
    shown = made["key"] or made["notice"] or ""
    return (
        [shown]
        if output is Format.QUIET
        else [f"{made['id']} ({made['name']}) may: {', '.join(made['scopes'])}", shown]
    )


@keys.command("list", epilog=examples("lowbit admin keys list tnt_0198..."))
@keys.command("ls", hidden=True)
def list_keys(tenant_id: TenantArgument, output: FormatOption = Format.HUMAN) -> None:
    """List the keys that may be used, the newest first."""
    with connected(output) as client:
        found = client.admin.keys(tenant_id)
    if output is Format.JSON:
        print_json({"object": "list", "data": found})
    elif output is Format.QUIET:
        print_lines(key["id"] for key in found)
    else:
        rows = [
            (k["id"], k["name"], " ".join(k["scopes"]), k["expires_at"] or "", k["last_used_at"] or "") for k in found
        ]
        print_table(("ID", "NAME", "SCOPES", "EXPIRES", "LAST USED"), rows)


@keys.command(epilog=examples("lowbit admin keys revoke tnt_0198... Q1xqeuxbUirC"))
def revoke(
    tenant_id: TenantArgument,
    key_id: Annotated[str, typer.Argument(metavar="KEY", help="A key's id: what lies between its two underscores.")],
    output: FormatOption = Format.HUMAN,
) -> None:
    """Revoke a key. It is refused within two seconds."""
    with connected(output) as client:
        client.admin.revoke_key(tenant_id, key_id)
    if output is Format.JSON:
        print_json({"id": key_id, "revoked": True})
    else:
        print_lines([key_id if output is Format.QUIET else f"{key_id} is revoked"])

"""`lowbit jobs`: what runs and what ran."""

from typing import Annotated

import typer

from lowbit.command.following import conclude, follow
from lowbit.command.following import watch as watch_job
from lowbit.command.layers import print_layers
from lowbit.command.log import print_log
from lowbit.command.options import AfterOption, Format, FormatOption, LimitOption, TimeoutOption, examples
from lowbit.command.printing import print_facts, print_json, print_lines, print_table
from lowbit.command.progress import display, headline
from lowbit.command.session import connected
from lowbit.command.verdict import print_verdict
from lowbit.problem import Problem
from lowbit.resources import JobData

jobs = typer.Typer(help="List, follow and cancel jobs.", no_args_is_help=True, rich_markup_mode=None)

JobArgument = Annotated[str, typer.Argument(metavar="JOB", help="A job's id.")]


@jobs.command("list", epilog=examples("lowbit jobs list", "lowbit jobs list --status running --format quiet"))
@jobs.command("ls", hidden=True)
def list_jobs(
    status: Annotated[str | None, typer.Option(metavar="STATUS", help="Only jobs with this status.")] = None,
    limit: LimitOption = 20,
    after: AfterOption = None,
    output: FormatOption = Format.HUMAN,
) -> None:
    """List jobs, the newest first."""
    with connected(output) as client:
        page = client.jobs.list(limit=limit, after=after, status=status)
    if output is Format.JSON:
        print_json(page)
    elif output is Format.QUIET:
        print_lines(job["id"] for job in page["data"])
    else:
        print_table(("ID", "STATUS", "OUTCOME", "NAME", "CREATED"), [_row(job) for job in page["data"]])


def _row(job: JobData) -> tuple[str, str, str, str, str]:
    outcome = job["result"]["outcome"] if job["result"] else ""
    return job["id"], job["status"], outcome, job["name"] or "", job["created_at"]


@jobs.command(epilog=examples("lowbit jobs show job_0198...", "lowbit jobs show job_0198... --format json"))
def show(job_id: JobArgument, output: FormatOption = Format.HUMAN) -> None:
    """Show a job as it is now."""
    with connected(output) as client:
        job = client.jobs.get(job_id)
    if output is Format.JSON:
        print_json(job.data)
    elif output is Format.QUIET:
        print_lines([job.id])
    else:
        print_facts(_facts(job.data, headline(job)))
        if job.result is not None:
            print_lines([""])
            print_verdict(job)


def _facts(job: JobData, status: str) -> dict[str, str]:
    told = {"id": job["id"], "name": job["name"] or "", "status": status}
    told |= {"model": job["model_id"], "calibration": job["calibration_dataset_id"]}
    told |= {"evaluation": job["evaluation_dataset_id"] or "", "target": job["target"]}
    told |= {"created": job["created_at"], "finished": job["finished_at"] or ""}
    if job["error"]:
        problem = Problem.parse(job["error"])
        told["error"] = f"{problem.title}. {problem.detail}"
    return {name: value for name, value in told.items() if value}


@jobs.command(epilog=examples("lowbit jobs watch job_0198...", "lowbit jobs watch job_0198... --timeout 600"))
def watch(job_id: JobArgument, timeout: TimeoutOption = None, output: FormatOption = Format.HUMAN) -> None:
    """Show a job's progress until it ends, then its verdict. Ctrl-C stops watching, not the job."""
    with connected(output) as client:
        job = client.jobs.get(job_id)
        with display(output) as shown:
            watch_job(job, shown, timeout=timeout, output=output)
        conclude(job, output, files=[])


@jobs.command(epilog=examples("lowbit jobs wait job_0198... --timeout 3600 && lowbit download job_0198..."))
def wait(job_id: JobArgument, timeout: TimeoutOption = None, output: FormatOption = Format.HUMAN) -> None:
    """Wait in silence until a job ends, then print its verdict. The exit code tells how it ended."""
    with connected(output) as client:
        job = client.jobs.get(job_id)
        with display(Format.QUIET) as shown:
            follow(job, shown, timeout=timeout, output=output)
        conclude(job, output, files=[])


@jobs.command(epilog=examples("lowbit jobs logs job_0198...", "lowbit jobs logs job_0198... --follow"))
def logs(
    job_id: JobArgument,
    follow_log: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job ends.")] = False,  # noqa: FBT002 - a switch
    output: FormatOption = Format.HUMAN,
) -> None:
    """Print what a job has logged. With `--format json`, one object on each line."""
    with connected(output) as client:
        job = client.jobs.get(job_id)
        print_log(job.events(after=0) if follow_log else job.log(), output)


@jobs.command(epilog=examples("lowbit jobs layers job_0198...", "lowbit jobs layers var_0198... --format json"))
def layers(
    job_or_variant: Annotated[str, typer.Argument(metavar="JOB", help="A job's id, or a variant's.")],
    output: FormatOption = Format.HUMAN,
) -> None:
    """Show what became of each layer of JOB's best variant, and why.

    Layers come in the order of the graph. A layer's SQNR is that of its own output, given the float model's inputs.
    """
    with connected(output) as client:
        found = client.layers(job_or_variant)
    print_layers(found, output)


@jobs.command(epilog=examples("lowbit jobs cancel job_0198..."))
def cancel(job_id: JobArgument, output: FormatOption = Format.HUMAN) -> None:
    """Ask a job to stop. One that runs ends at its next step."""
    with connected(output) as client:
        job = client.jobs.get(job_id).cancel()
    if output is Format.JSON:
        print_json(job.data)
    else:
        print_lines([job.id if output is Format.QUIET else f"{job.id} is {job.status}"])


@jobs.command(epilog=examples("lowbit jobs delete job_0198..."))
@jobs.command("rm", hidden=True)
def delete(job_id: JobArgument) -> None:
    """Forget a job that has ended, with its models, reports and logs on the service."""
    with connected(Format.HUMAN) as client:
        client.jobs.delete(job_id)
    print_lines([f"deleted {job_id}"])

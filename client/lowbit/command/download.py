"""`lowbit download`: the files of a finished job."""

from typing import Annotated

import typer

from lowbit.command.options import Format, FormatOption, OutputOption, examples, output_folder
from lowbit.command.printing import print_json, print_lines
from lowbit.command.progress import display
from lowbit.command.session import connected

EPILOG = examples("lowbit download job_0198... -o out", "lowbit download var_0198... -o out")


def download(
    job: Annotated[str, typer.Argument(metavar="JOB", help="A job's id, or a variant's.")],
    output: OutputOption = None,
    output_format: FormatOption = Format.HUMAN,
) -> None:
    """Download the files of JOB: its best model and report.

    Of a variant, all files are written. Each file is checked against its sha256. A download that was cut off goes on
    where it stopped.
    """
    with connected(output_format) as client:
        with display(output_format) as shown:
            files = client.download(job, output_folder(output, job), shown.transfer)
        if output_format is Format.JSON:
            print_json({"files": [str(path) for path in files]})
        else:
            print_lines(files)

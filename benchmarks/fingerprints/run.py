"""`make fingerprints BEFORE=folder AFTER=folder`: do two checkouts of Lowbit make the same candidates to the last bit?

Starts the service of each checkout from that checkout's own environment, gives both the same models, data and jobs, one
job at a time, and compares what they deliver and say. Prints a line for each case; the exit code is 1 if anything
differs. Digests differ between processors, so none are kept: both checkouts run on this machine, now.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from lowbit import Client

from benchmarks.fingerprints.cases import cases
from benchmarks.fingerprints.checkout import NotInstalled, checked
from benchmarks.fingerprints.inputs import Subject, make
from benchmarks.fingerprints.report import Compared, summary
from benchmarks.fingerprints.taking import Uploaded, take
from benchmarks.service.embedded import embedded


def main() -> int:
    asked = _arguments()
    try:
        before, after = checked(asked.before), checked(asked.after)
    except NotInstalled as error:
        sys.exit(str(error))
    started, compared = time.monotonic(), []
    with _scratch() as inputs:
        _say("Making models and data ...")
        subjects = make(inputs)
        with _service_of(before) as one, _service_of(after) as other:
            for case in _compared(one, other, subjects):
                compared.append(case)
                _say("\n".join(case.lines()))
    if asked.output is not None:
        asked.output.write_text(json.dumps([asdict(case) for case in compared], indent=1) + "\n", encoding="utf-8")
    _say(f"{summary(compared)} {time.monotonic() - started:.0f} s.")
    return 0 if all(case.is_equal for case in compared) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make fingerprints", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("before", type=Path, help="folder of one checkout, installed by `make install`")
    parser.add_argument("after", type=Path, help="folder of the other")
    parser.add_argument("--output", type=Path, help="write all that was compared to this file, as JSON")
    return parser.parse_args()


def _compared(before: Client, after: Client, subjects: list[Subject]) -> Iterator[Compared]:
    """Each job at one service, then at the other: never two at once, and a difference shows early."""
    uploads: dict[str, tuple[Uploaded, Uploaded]] = {}
    for subject in subjects:
        one, other = uploads[subject.name] = Uploaded(before, subject), Uploaded(after, subject)
        yield Compared(f"{subject.name} inspections", one.inspections(), other.inspections())
    presets = sorted(preset["name"] for preset in before.recipes())
    for case in cases(subjects, presets):
        one, other = uploads[case.subject.name]
        yield Compared(case.name, take(before, case, one), take(after, case, other))


@contextmanager
def _service_of(checkout: Path) -> Iterator[Client]:
    with _scratch() as data, embedded(data, checkout=checkout) as service, service.client() as client:
        yield client


@contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="lowbit-fingerprints-") as folder:
        yield Path(folder)


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())

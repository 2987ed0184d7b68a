"""`make fingerprints BEFORE=folder AFTER=folder`: do two checkouts of Lowbit make the same candidates to the last bit?

Starts the service of each checkout from that checkout's own environment, gives both the same models, data and jobs,
and compares what they deliver and say. Prints one line for each case; the exit code is 1 if anything differs. Digests
differ between processors, so none are kept: both checkouts run on this machine, now.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lowbit import Client

from benchmarks.fingerprints.cases import cases
from benchmarks.fingerprints.checkout import NotInstalled, checked
from benchmarks.fingerprints.inputs import Subject, make
from benchmarks.fingerprints.report import Fingerprints, report
from benchmarks.fingerprints.taking import Uploaded, take
from benchmarks.service.embedded import embedded


def main() -> int:
    asked = _arguments()
    try:
        checkouts = {"before": checked(asked.before), "after": checked(asked.after)}
    except NotInstalled as error:
        sys.exit(str(error))
    with _scratch() as inputs:
        _say("Making models and data ...")
        subjects = make(inputs)
        presets: list[str] = []
        taken: dict[str, Fingerprints] = {}
        for which, checkout in checkouts.items():
            _say(f"{which}: {checkout}")
            with _scratch() as data, embedded(data, checkout=checkout) as service, service.client() as client:
                presets = presets or sorted(preset["name"] for preset in client.recipes())
                taken[which] = _taken(client, subjects, presets)
    if asked.output is not None:
        asked.output.write_text(json.dumps(taken, indent=1) + "\n", encoding="utf-8")
    return 0 if report(taken["before"], taken["after"]) else 1


@contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="lowbit-fingerprints-") as folder:
        yield Path(folder)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make fingerprints", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("before", type=Path, help="folder of one checkout, installed by `make install`")
    parser.add_argument("after", type=Path, help="folder of the other")
    parser.add_argument("--output", type=Path, help="write all that was compared to this file, as JSON")
    return parser.parse_args()


def _taken(client: Client, subjects: list[Subject], presets: list[str]) -> Fingerprints:
    found: Fingerprints = {}
    uploads: dict[str, Uploaded] = {}
    for subject in subjects:
        with _timed(f"{subject.name} inspections") as name:
            uploads[subject.name] = Uploaded(client, subject)
            found[name] = uploads[subject.name].inspections()
    for case in cases(subjects, presets):
        with _timed(case.name) as name:
            found[name] = take(client, case, uploads[case.subject.name])
    return found


@contextmanager
def _timed(name: str) -> Iterator[str]:
    started = time.monotonic()
    yield name
    _say(f"  {name}: {time.monotonic() - started:.1f} s")


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())

"""A line for each case, and what differs."""

from benchmarks.fingerprints.comparison import Fingerprint, differences, facts

SHOWN = 12
"""Differing names of one case that are printed; the rest is counted, and in the file of --output."""

Fingerprints = dict[str, Fingerprint]
"""By case; each subject's inspections are a case of their own."""


def report(before: Fingerprints, after: Fingerprints) -> bool:
    """Print what is equal and what is not; true if everything is equal."""
    names, different = dict.fromkeys([*before, *after]), 0
    for case in names:
        found = differences(before.get(case, {}), after.get(case, {}))
        different += bool(found)
        print(f"{'different' if found else 'equal':<10}{case}: {facts(before.get(case, {}))} facts")
        for difference in found[:SHOWN]:
            print(f"    {difference}")
        if len(found) > SHOWN:
            print(f"    ... and {len(found) - SHOWN} more")
    candidates = sum(_candidates(fingerprint) for fingerprint in before.values())
    print(f"{len(names) - different} of {len(names)} cases are equal to the last bit, with {candidates} candidates.")
    return not different


def _candidates(fingerprint: Fingerprint) -> int:
    return sum(variant["role"] == "candidate" for variant in fingerprint.get("variants", {}).values())

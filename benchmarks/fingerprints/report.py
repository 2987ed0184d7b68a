"""A line for each case, what differs in it, and the sum."""

from dataclasses import dataclass

from benchmarks.fingerprints.comparison import Difference, Fingerprint, differences, facts

SHOWN = 12
"""Differing names of one case that are printed; the rest is counted, and in the file of `--output`."""


@dataclass(frozen=True)
class Compared:
    """One case at both checkouts. Each subject's inspections are a case of their own."""

    case: str
    before: Fingerprint
    after: Fingerprint

    @property
    def is_equal(self) -> bool:
        return not differences(self.before, self.after)

    @property
    def candidates(self) -> int:
        variants = self.before.get("variants", {}).values()
        return sum(variant["role"] == "candidate" for variant in variants)

    @property
    def has_equal_files(self) -> bool:
        """Every candidate's files are the same, whatever is told of them."""
        return not any(_is_of_a_file(difference) for difference in differences(self.before, self.after))

    def lines(self) -> list[str]:
        """What differs in files comes first: it is what users run."""
        found = sorted(differences(self.before, self.after), key=lambda difference: not _is_of_a_file(difference))
        word = "different" if found else "equal"
        lines = [f"{word:<10}{self.case}: {self.candidates} candidates, {facts(self.before)} facts"]
        lines += [f"    {difference}" for difference in found[:SHOWN]]
        if len(found) > SHOWN:
            lines.append(f"    ... and {len(found) - SHOWN} more")
        return lines


def _is_of_a_file(difference: Difference) -> bool:
    return ".files." in difference.name


def summary(compared: list[Compared]) -> str:
    equal, candidates = sum(one.is_equal for one in compared), sum(one.candidates for one in compared)
    files = sum(one.has_equal_files for one in compared)
    return (
        f"{equal} of {len(compared)} cases are equal to the last bit, with {candidates} candidates; "
        f"{files} have the same files."
    )

"""The canaries see what is open, and every level of this machine closes it."""

from pathlib import Path

import pytest

from workers.sandbox import proof
from workers.sandbox.canaries import ALLOWED, DENIED
from workers.sandbox.levels import LADDER, Level
from workers.sandbox.proof import Check, Proof, prove

NOT_SEEN_WITHOUT = {"own_environment"}
"""Closed by what starts the process, at every level."""


def test_without_a_sandbox_the_canaries_get_everywhere(tmp_path: Path) -> None:
    """As the user who runs the tests; what only root may do, only root's canaries do."""
    found = prove(Level.NONE, tmp_path)
    reached = {check.name for check in found.checks if check.name in DENIED and not check.passed}
    only_root = {"make_file_at_root", "kernel_setting", "mount", "trace", "new_namespace"}  # on some systems
    assert DENIED.keys() - reached - only_root == NOT_SEEN_WITHOUT
    assert all(check.passed for check in found.checks if check.name in ALLOWED)


@pytest.mark.parametrize("level", LADDER)
def test_every_level_holds_here(tmp_path: Path, level: Level) -> None:
    """If bubblewrap is missing: `make system-deps`. The other levels need Linux 6.12 and user namespaces."""
    found = prove(level, tmp_path)
    assert found.reason == ""
    assert found.holds
    assert {check.name for check in found.checks} == DENIED.keys() | ALLOWED.keys()


@pytest.mark.parametrize("level", LADDER)
def test_a_weaker_level_in_its_place_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, level: Level) -> None:
    """What is proven is what the canaries met, not the level's name."""
    real = proof.enclosed
    monkeypatch.setattr(proof, "enclosed", lambda _, *what, **more: real(Level.NONE, *what, **more))
    monkeypatch.setattr(proof, "returncode", lambda _, code: code)
    found = prove(level, tmp_path)
    assert not found.holds
    assert "udp: it arrived outside" in found.reason


def test_what_shows_outside_counts_against_what_the_canaries_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The datagram is sent into the air: whoever sends it is not told whether it arrived."""
    real = proof.enclosed
    monkeypatch.setattr(proof, "enclosed", lambda _, *what, **more: real(Level.NONE, *what, **more))
    checks = {check.name: check for check in prove(Level.LANDLOCK, tmp_path).checks}
    assert checks["udp"] == Check("udp", passed=False, required=True, detail="it arrived outside")
    assert checks["change_mode"].detail == "the mode of the file outside has changed"


def test_canaries_that_cannot_run_prove_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "COMMAND", ("/nonexistent",))
    found = prove(Level.BUBBLEWRAP, tmp_path)
    assert not found.holds
    assert "/nonexistent" in found.reason


def test_a_proof_without_checks_does_not_hold() -> None:
    assert not Proof(Level.LANDLOCK).holds

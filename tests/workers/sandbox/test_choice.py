"""A worker uses the level it was told to, or the highest that is proven, and never less than it was told."""

from pathlib import Path

import pytest

from workers.sandbox import choice
from workers.sandbox.choice import SandboxUnavailable, choose
from workers.sandbox.levels import Level, Sandbox
from workers.sandbox.proof import Check, Proof


@pytest.fixture
def holding(monkeypatch: pytest.MonkeyPatch) -> set[Level]:
    """The levels that hold, as far as the proofs of these tests say."""
    levels: set[Level] = set()
    asked: list[Level] = []

    def proven(level: Level, _: Path) -> Proof:
        asked.append(level)
        return Proof(level, (Check("tcp", level in levels, required=True, detail="it arrived outside"),))

    monkeypatch.setattr(choice, "prove", proven)
    return levels


def test_the_highest_that_holds_is_used(tmp_path: Path, holding: set[Level]) -> None:
    holding |= {Level.NAMESPACES, Level.LANDLOCK}
    unproven: list[Proof] = []
    assert choose("auto", tmp_path, unproven=unproven.append) == Sandbox(Level.NAMESPACES)
    assert [proof.level for proof in unproven] == [Level.BUBBLEWRAP]
    assert list(tmp_path.iterdir()) == []


def test_where_none_holds_there_is_none_and_nobody_asked_for_that(tmp_path: Path, holding: set[Level]) -> None:
    chosen = choose("auto", tmp_path)
    assert chosen == Sandbox(Level.NONE, is_declined=False)
    assert not chosen.may_open_untrusted


def test_a_level_that_was_asked_for_and_does_not_hold_is_an_error_in_one_line(
    tmp_path: Path, holding: set[Level]
) -> None:
    holding |= {Level.NAMESPACES}
    with pytest.raises(SandboxUnavailable) as caught:
        choose("landlock", tmp_path)
    assert str(caught.value) == (
        "LOWBIT_SANDBOX=landlock does not hold here (tcp: it arrived outside). `lowbit doctor` shows what does."
    )


def test_none_at_all_can_be_asked_for(tmp_path: Path, holding: set[Level]) -> None:
    chosen = choose("off", tmp_path)
    assert chosen == Sandbox(Level.NONE, is_declined=True)
    assert chosen.may_open_untrusted


def test_what_holds_may_open_everything() -> None:
    assert Sandbox(Level.LANDLOCK).may_open_untrusted

"""Which level a worker uses: the one it was told to, or the highest that is proven here."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from workers.sandbox.levels import AUTO, LADDER, OFF, Level, Sandbox
from workers.sandbox.proof import Proof, prove


class SandboxUnavailable(RuntimeError):
    """The level that was asked for does not hold on this machine."""

    def __init__(self, level: Level, reason: str) -> None:
        super().__init__(f"LOWBIT_SANDBOX={level} does not hold here ({reason}). `lowbit doctor` shows what does.")


def choose(setting: str, folder: Path, *, unproven: Callable[[Proof], None] = lambda _: None) -> Sandbox:
    """Prove levels in an existing folder. `unproven` hears of each that does not hold."""
    if setting == OFF:
        return Sandbox(Level.NONE, is_declined=True)
    for level in LADDER if setting == AUTO else (Level(setting),):
        with TemporaryDirectory(dir=folder) as room:
            proof = prove(level, Path(room))
        if proof.holds:
            return Sandbox(level)
        if setting != AUTO:
            raise SandboxUnavailable(level, proof.reason)
        unproven(proof)
    return Sandbox(Level.NONE)

"""Models that nobody chose: every preset delivers a sound file of each, or refuses with a code."""

from pathlib import Path

import pytest

from tests.workers.generated.models import generated
from tests.workers.held_to_float import POSSIBLE_DB, held, simulated

PRESETS = ("int8-fast", "int8-balanced", "int8-accurate", "int8-dynamic", "float16")
SEEDS = range(20)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_preset_delivers_a_sound_file_or_refuses_with_a_code(tmp_path: Path, seed: int) -> None:
    model = generated(seed)
    possible = simulated(model)
    for preset in PRESETS:
        folder = tmp_path / preset
        folder.mkdir()
        found = held(model, preset, folder, simulated_db=possible)
        assert found.fault is None, preset
        assert not found.caught, preset


def test_most_of_them_can_be_quantized_well() -> None:
    """Or the test above would hold nothing."""
    assert sum(simulated(generated(seed)) >= POSSIBLE_DB for seed in SEEDS) >= 0.6 * len(SEEDS)

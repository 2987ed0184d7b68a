"""What is better beyond chance: figures of generated noise, with the answer known."""

from typing import Any

import numpy as np
import pytest

from workers.pipeline.sensitivity.evidence import best_on_evidence, is_better, loses_more


def noise(samples: int, *, seed: int = 0) -> Any:
    return np.random.default_rng(seed).gamma(8.0, size=samples)


@pytest.mark.parametrize("samples", [8, 32, 64, 256])
def test_what_is_better_on_every_sample_is_better(samples: int) -> None:
    plain = noise(samples)
    assert is_better(0.8 * plain, plain)
    assert not is_better(plain, plain)
    assert not is_better(1.1 * plain, plain)


def test_the_same_by_another_name_is_hardly_ever_better() -> None:
    found = [is_better(noise(64, seed=2 * i), noise(64, seed=2 * i + 1)) for i in range(1000)]
    # a normal mean is 2.5 standard errors ahead in 0.6 % of cases
    assert sum(found) <= 12


def test_a_gain_too_small_to_last_is_none() -> None:
    plain = noise(256)
    assert not is_better(0.96 * plain, plain)
    assert is_better(0.94 * plain, plain)


def test_few_samples_show_nothing() -> None:
    plain = noise(7)
    assert not is_better(0.1 * plain, plain)


def test_one_sample_far_out_is_enough_to_lose_and_not_enough_to_win() -> None:
    plain = noise(64)
    far = plain.copy()
    far[5] = 1000.0
    assert not is_better(np.where(np.arange(64) == 5, 1000.0, 0.5 * plain), plain)
    # ahead by one sample alone, and a little behind on the others
    assert not is_better(1.05 * plain, far)
    assert is_better(0.8 * plain, far)


def test_the_least_noise_of_those_that_are_better_wins() -> None:
    plain = noise(64)
    forms = {"plain": plain, "good": 0.8 * plain, "best": 0.7 * plain, "chance": 0.99 * plain}

    def chosen(*names: str, clipping: Any = ()) -> str:
        some = {name: forms[name] for name in names}
        return best_on_evidence(some, plain="plain", clips_more=lambda name: name in clipping)

    assert chosen(*forms) == "best"
    assert chosen(*forms, clipping={"best"}) == "good"
    assert chosen(*forms, clipping={"best", "good"}) == "plain"
    assert chosen("plain", "chance") == "plain"
    assert chosen("plain") == "plain"


def test_what_is_clipped_of_its_own_samples_counts() -> None:
    plain = noise(64)
    clipped = 0.7 * plain
    assert not loses_more(plain, plain)
    assert not loses_more(clipped, plain)
    clipped[3] = 1000.0
    assert loses_more(clipped, plain)


@pytest.mark.parametrize(("far_out", "more"), [(1, False), (2, True)])
def test_one_sample_far_out_for_which_all_others_pay_dearly_may_be_a_mistake(far_out: int, more: bool) -> None:
    plain = noise(64)
    clipped = 0.1 * plain
    clipped[:far_out] = 1000.0
    assert loses_more(clipped, plain) is more

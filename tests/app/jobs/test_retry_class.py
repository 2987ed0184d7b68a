import pytest

from app.jobs.retry_class import JITTER, RULES, RetryClass, postponement


def test_every_class_has_its_rule() -> None:
    assert set(RULES) == set(RetryClass)


def test_what_would_end_the_same_way_again_is_not_tried_again() -> None:
    final = {why for why, rule in RULES.items() if rule.counter is None}
    assert final == {RetryClass.USER_ERROR, RetryClass.OUT_OF_MEMORY, RetryClass.DEADLINE}


@pytest.mark.parametrize(("before", "seconds"), [(0, 5), (1, 10), (5, 160), (6, 300), (40, 300)])
def test_pauses_double_up_to_five_minutes_and_differ(before: int, seconds: float) -> None:
    pauses = [postponement(before, total_seconds=1e9) for _ in range(50)]
    assert all(p is not None and abs(p - seconds) <= JITTER * seconds for p in pauses)
    assert len(set(pauses)) > 1


def test_waiting_ends() -> None:
    assert postponement(2, total_seconds=15.1) is not None  # 5 + 10 have passed
    assert postponement(2, total_seconds=15) is None

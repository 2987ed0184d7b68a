import time

import pytest

from app.contracts.status import Stage
from workers.supervision.abnormal_end import ProcessStalled
from workers.supervision.process.stall import OTHER_SILENCE_SECONDS, SILENCE_SECONDS, StallWatch


def test_every_stage_has_a_bound_and_those_that_report_often_the_shortest() -> None:
    bounds = {stage: SILENCE_SECONDS.get(stage, OTHER_SILENCE_SECONDS) for stage in Stage}
    assert min(bounds.values()) == bounds[Stage.CALIBRATE] == bounds[Stage.EVALUATE]
    assert max(bounds.values()) <= 3600


def test_the_bound_is_that_of_the_stage_times_the_factor() -> None:
    watch = StallWatch(factor=0.001)  # calibrate: 0.3 s, benchmark: 1.8 s
    watch.note(Stage.BENCHMARK)
    time.sleep(0.4)
    watch.check()
    watch.note(Stage.CALIBRATE)
    time.sleep(0.4)
    with pytest.raises(ProcessStalled, match="calibrate"):
        watch.check()

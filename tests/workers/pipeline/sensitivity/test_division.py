"""Which samples judge: never those that shape, whatever their number."""

from itertools import chain
from typing import Any

import numpy as np
import pytest

from tests.workers.quantization.small_models import two_matmuls
from workers.ingestion.data.npz import open_archive
from workers.ingestion.onnx_model.description import describe
from workers.pipeline.feeding.feeder import Feeder, feeder_for
from workers.pipeline.sensitivity.division import Division
from workers.protocol.reporter import Reporter


def feeder(npz: Any, reporter: Reporter, samples: int, *, fixed_batch: int | None = None) -> Feeder:
    model = two_matmuls()
    if fixed_batch is not None:
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = fixed_batch
    x = np.zeros((samples, 1, 16), np.float32) + np.arange(samples, dtype=np.float32)[:, None, None]
    return feeder_for(describe(model), open_archive(npz(x=x)), reporter)


def numbers(division: Division, data: Feeder, part: int | None, *, rows: int = 8, samples: int = 10_000) -> list[int]:
    fed = division.batches(data, rows, part=part, samples=samples)
    return [int(x) for one in fed for x in one.feeds["x"][: one.rows, 0, 0]]


@pytest.mark.parametrize("samples", [2, 3, 17, 32, 63, 64, 65, 128, 255])
@pytest.mark.parametrize("rows", [1, 3, 8])
def test_halves_of_few_samples_judge_each_other(npz: Any, reporter: Reporter, samples: int, rows: int) -> None:
    data = feeder(npz, reporter, samples)
    division = Division.of(data, limit=None)
    halves = [numbers(division, data, part, rows=rows) for part in (0, 1)]
    assert division.is_mutual
    assert sorted(halves[0] + halves[1]) == list(range(samples))
    assert 0 <= len(halves[0]) - len(halves[1]) <= 8


@pytest.mark.parametrize(("samples", "judges"), [(256, 64), (512, 128), (1024, 256), (3000, 256)])
def test_a_quarter_of_many_judges_the_rest(npz: Any, reporter: Reporter, samples: int, judges: int) -> None:
    data = feeder(npz, reporter, samples)
    division = Division.of(data, limit=None)
    judging, shaping = (numbers(division, data, part) for part in (0, 1))
    assert not division.is_mutual
    assert len(judging) == judges
    assert sorted(judging + shaping) == list(range(samples))
    # of data that is sorted, they see something of everything
    assert max(judging) >= min(samples, 1024) - 32


def test_a_limit_is_all_that_there_is(npz: Any, reporter: Reporter) -> None:
    data = feeder(npz, reporter, 100)
    division = Division.of(data, limit=20)
    assert sorted(numbers(division, data, 0) + numbers(division, data, 1)) == list(range(20))
    assert numbers(Division.undivided(data, limit=20), data, None) == list(range(20))


@pytest.mark.parametrize(("samples", "batch", "parts"), [(12, 4, 2), (5, 4, 2), (4, 4, 1), (3, 4, 1), (512, 256, 2)])
def test_batches_of_a_fixed_size_are_not_torn(
    npz: Any, reporter: Reporter, samples: int, batch: int, parts: int
) -> None:
    data = feeder(npz, reporter, samples, fixed_batch=batch)
    division = Division.of(data, limit=None)
    assert division.parts == parts
    assert [division.part_of(sample) for sample in range(batch)] == [0] * batch
    found = [numbers(division, data, part) for part in range(parts)]
    assert all(found)
    assert sorted(chain(*found)) == list(range(samples))


def test_one_sample_has_nobody_to_judge_it(npz: Any, reporter: Reporter) -> None:
    assert Division.of(feeder(npz, reporter, 1), limit=None).parts == 1


def test_only_as_many_are_read_as_are_asked_for(npz: Any, reporter: Reporter) -> None:
    data = feeder(npz, reporter, 100)
    division = Division.of(data, limit=None)
    assert numbers(division, data, 1, samples=9) == [*range(8, 16), *range(24, 32)]

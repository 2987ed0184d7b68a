"""The figures as the Markdown that docs/benchmarks.md shows."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.results import Quality, Results, Spread

BEGIN, END = "<!-- figures: written by make bench -->", "<!-- end of figures -->"

LABELS = {
    "lowbit_fast": "Lowbit `int8-fast` (1 model)",
    "lowbit_balanced": "Lowbit `int8-balanced` (4 models)",
    "ort_minmax": "ORT MinMax",
    "ort_minmax_weighted": "ORT MinMax, Conv/Gemm/MatMul only",
    "ort_percentile": "ORT Percentile 99.999",
}

COMPARISONS = (
    ("lowbit_fast", "ort_minmax"),
    ("lowbit_fast", "ort_minmax_weighted"),
    ("lowbit_balanced", "ort_minmax"),
    ("lowbit_balanced", "ort_percentile"),
)


def figures(results: Results) -> str:
    """Everything between the two markers."""
    blocks = [_conditions(results)]
    for subject in results.subjects:
        blocks += [
            f"### {subject}",
            _cost(results, subject),
            _ratios(results, subject),
            _quality([q for q in results.quality if q.subject == subject]),
        ]
    return "\n\n".join(blocks)


def with_figures(page: str, results: Results) -> str:
    """The page with the figures between its markers replaced. Raises ValueError when it has no markers."""
    before, _, rest = page.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"The page has no place for figures: {BEGIN} and {END}.")
    return f"{before}{BEGIN}\n\n{figures(results)}\n\n{END}{after}"


def write_figures(path: Path, results: Results) -> None:
    path.write_text(with_figures(path.read_text(encoding="utf-8"), results), encoding="utf-8")


def _conditions(results: Results) -> str:
    rows = [[name.replace("_", " "), str(value)] for name, value in results.conditions.items()]
    others = results.others_cores()
    if others:
        rows.append(["cores kept busy by others, median over the runs (lowest-highest)", _spread(others)])
    return _table(["condition", ""], rows)


def _cost(results: Results, subject: str) -> str:
    small, large = results.counts[0], results.counts[-1]
    rows = []
    for contender, label in LABELS.items():
        if not results.of(subject, contender, small):
            continue
        slope, growth = results.seconds_per_sample(subject, contender), results.growth_mib(subject, contender)
        rows.append([
            label,
            *(_wall(results, subject, contender, samples) for samples in (small, large)),
            "-" if slope is None else f"{1000 * slope:.1f}",
            *(_peak(results, subject, contender, samples) for samples in (small, large)),
            "-" if growth is None else f"{growth:+.0f}",
        ])  # fmt: skip
    head = ["", f"s, {small} samples", f"s, {large}", "ms per further sample"]
    return _table([*head, f"peak MiB, {small}", f"peak MiB, {large}", "growth MiB"], rows)


def _wall(results: Results, subject: str, contender: str, samples: int) -> str:
    wall = results.wall(subject, contender, samples)
    return results.of(subject, contender, samples)[0].outcome if wall is None else _spread(wall)


def _peak(results: Results, subject: str, contender: str, samples: int) -> str:
    peak = results.peak(subject, contender, samples)
    if peak is not None:
        return f"{peak:.0f}"
    return f"over {results.of(subject, contender, samples)[0].peak_rss_mib:.0f}"


def _ratios(results: Results, subject: str) -> str:
    rows = []
    for ours, theirs in COMPARISONS:
        if any(results.ratio(subject, ours, theirs, samples) for samples in results.counts):
            name = f"{LABELS[ours]} / {LABELS[theirs]}"
            rows.append([name, *(_ratio(results, subject, ours, theirs, samples) for samples in results.counts)])
    return _table(["wall time, ratio", *(f"{samples} samples" for samples in results.counts)], rows)


def _ratio(results: Results, subject: str, ours: str, theirs: str, samples: int) -> str:
    paired = results.ratio(subject, ours, theirs, samples)
    quietest = results.quietest_ratio(subject, ours, theirs, samples)
    return "-" if paired is None or quietest is None else f"{_spread(paired)}; fastest {quietest:.2f}"


def _spread(spread: Spread) -> str:
    return f"{spread.median:.2f} ({spread.lowest:.2f}-{spread.highest:.2f})"


def _quality(quality: Sequence[Quality]) -> str:
    rows = [
        [
            f"{LABELS[q.contender]}, {q.variant}",
            str(q.samples),
            f"{100 * q.agreement:.2f}",
            "-" if q.sqnr_db is None else f"{q.sqnr_db:.1f}",
            f"{q.size_bytes / 1e6:.2f}",
        ]
        for q in quality
    ]
    return _table(["model", "samples", "agreement %", "SQNR dB", "MB"], rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(_lines(head, rows))


def _lines(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    for cells in (head, ["---"] * len(head), *rows):
        yield f"| {' | '.join(cells)} |"

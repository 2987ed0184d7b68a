"""Draws a finished job, float against int8: `picture.py demo-output/result.json out.svg` makes the README's picture."""

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

from lowbit.command.figures import size_change

WIDTH, ROW, LEFT, BAR = 720, 64, 150, 430
FLOAT_COLOUR, INT8_COLOUR = "#999999", "#0072b2"  # of the Okabe-Ito palette, told apart by everybody


class Row(NamedTuple):
    name: str
    float32: float
    int8: float
    unit: str
    remark: str


def rows_of(result: dict[str, Any]) -> list[Row]:
    baseline, best = result["baseline"], result["best"]
    delta = f"{100 * best['accuracy_delta']:+.2f} points"
    rows = [
        Row("accuracy", 100 * baseline["accuracy"], 100 * best["accuracy"], "%", delta),
        Row(
            "size",
            baseline["size_bytes"] / 1000,
            best["size_bytes"] / 1000,
            "kB",
            size_change(baseline["size_bytes"], best["size_bytes"]),
        ),
    ]
    for theirs, ours in zip(baseline["benchmark"], best["benchmark"], strict=True):
        # a ratio of medians: milliseconds of one machine mean little on another
        share = 100 * ours["latency_ms"]["p50"] / theirs["latency_ms"]["p50"]
        rows.append(Row(f"time, batch {ours['batch_size']}", 100, share, "%", f"{ours['speedup']:.2f}x the speed"))
    return rows


def draw(rows: list[Row]) -> str:
    height = ROW * len(rows) + 24
    body = "\n".join(_row(row, 16 + ROW * n) for n, row in enumerate(rows))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'font-family="sans-serif" font-size="14">\n<rect width="100%" height="100%" fill="white"/>\n{body}\n</svg>\n'
    )


def _row(row: Row, top: int) -> str:
    longest = max(row.float32, row.int8)
    bars = [("float32", row.float32, FLOAT_COLOUR, top), ("int8", row.int8, INT8_COLOUR, top + 22)]
    parts = [f'<text x="{LEFT - 12}" y="{top + 26}" text-anchor="end" font-weight="bold">{row.name}</text>']
    for name, value, colour, y in bars:
        length = BAR * value / longest
        parts.append(f'<rect x="{LEFT}" y="{y}" width="{length:.1f}" height="18" fill="{colour}"/>')
        parts.append(
            f'<text x="{LEFT + 6}" y="{y + 14}" fill="white" font-size="12">{name} {value:.4g} {row.unit}</text>'
        )
    parts.append(f'<text x="{LEFT + BAR + 12}" y="{top + 37}">{row.remark}</text>')
    return "\n".join(parts)


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    target.write_text(draw(rows_of(json.loads(source.read_text())["result"])))

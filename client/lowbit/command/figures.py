"""Numbers as people read them. `None` means not measured and never looks like a zero."""

NOT_MEASURED = "-"

_UNITS = ("kB", "MB", "GB", "TB")


def size(byte_count: int | None) -> str:
    """Decimal units, as the sizes on download pages: 1 MB is 1,000,000 bytes."""
    if byte_count is None:
        return NOT_MEASURED
    if byte_count < 1000:
        return f"{byte_count} B"
    # 999,950 and more would read as 1000.0 kB
    power = next((power for power in (1, 2, 3) if byte_count < 999.95 * 1000**power), 4)
    return f"{byte_count / 1000**power:.1f} {_UNITS[power - 1]}"


def size_change(before: int, after: int) -> str:
    """What became of a size, in words that are true on both sides of 1."""
    if not after or not before:
        return NOT_MEASURED
    if f"{before / after:.2f}" == "1.00":
        return "the same size"
    return f"{before / after:.2f}x smaller" if after < before else f"{after / before:.2f}x the size"


def share(fraction: float | None, interval: tuple[float, float] | None = None) -> str:
    """A fraction in percent, with its 95 % interval."""
    if fraction is None:
        return NOT_MEASURED
    bounds = f" ({100 * interval[0]:.1f} to {100 * interval[1]:.1f})" if interval else ""
    return f"{100 * fraction:.2f} %{bounds}"


def points(fraction: float | None) -> str:
    """A difference of two fractions, in percentage points."""
    return NOT_MEASURED if fraction is None else f"{100 * fraction:+.2f} points"


def milliseconds(value: float | None) -> str:
    return NOT_MEASURED if value is None else f"{value:.3g} ms" if value < 100 else f"{value:.0f} ms"


def decibels(value: float | None) -> str:
    return NOT_MEASURED if value is None else f"{value:.1f} dB"


def factor(value: float | None) -> str:
    return NOT_MEASURED if value is None else f"{value:.2f}x"


def roughly(seconds: float | None) -> str:
    """A duration that nobody knows to the second: 40 s, 3 min, 2.5 h."""
    if seconds is None:
        return NOT_MEASURED
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"

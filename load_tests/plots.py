"""Plots as SVG, to be put into a page as they are."""

import io
import math
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from load_tests.capacity import P99_BAR_S
from load_tests.outcome import Flags, Outcome
from load_tests.profiles.base import RatePoint
from load_tests.timeline import Timeline

GOOD: Final = "#2563eb"
GOOD_LIGHT: Final = "#93c5fd"
REFUSED: Final = "#d97706"
OTHER: Final = "#dc2626"
BAR: Final = "#111827"
_MUTED: Final = "#6b7280"

_STYLE: Final[Any] = {  # the type that matplotlib declares lists every name it knows
    "svg.fonttype": "none",  # text stays text: small, sharp, searchable
    "font.family": "sans-serif",
    "font.sans-serif": ["system-ui", "DejaVu Sans"],
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#9ca3af",
    "axes.labelcolor": "#374151",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e5e7eb",
    "grid.linewidth": 0.8,
    "xtick.color": _MUTED,
    "ytick.color": _MUTED,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.8,
}

GOOD_ANYWHERE: Final = "#3b82f6"
_GREY: Final = "#7d8590"
_ANY_GROUND: Final[Any] = {  # same; a grey with a contrast of 4 on white and on near black alike
    "axes.edgecolor": _GREY,
    "axes.labelcolor": _GREY,
    "axes.titlecolor": _GREY,
    "grid.color": f"{_GREY}40",
    "text.color": _GREY,
    "xtick.color": _GREY,
    "ytick.color": _GREY,
}

_PERCENTILES: Final = (0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999)
_numbers = count()


def over_time(outcome: Outcome) -> str:
    """Latency per second above, what became of the requests below."""
    line = Timeline.of(outcome)
    middle = line.seconds + 0.5
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(7.4, 4.3), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
        above.plot(middle, line.accepted_p99_ms, color=GOOD, label="accepted p99", marker="o", markersize=2.5)
        above.plot(middle, line.accepted_p50_ms, color=GOOD_LIGHT, label="accepted p50")
        if outcome.refused.any():
            above.plot(middle, line.refused_p99_ms, color=REFUSED, label="refused p99", marker="o", markersize=2.5)
        _log_milliseconds(above)
        above.set_title("Latency by second, from when each request was due")
        above.legend(ncols=3, loc="upper left", bbox_to_anchor=(0, 1.0))
        _headroom(above)
        colours = {"good": GOOD, "refused": REFUSED, "late, wrong or unanswered": OTHER}
        edges = np.append(line.seconds, outcome.seconds)
        floor = np.zeros(line.seconds.size)
        for (name, colour), rates in zip(colours.items(), (line.good, line.refused, line.other), strict=True):
            if rates.any():
                below.stairs(floor + rates, edges, baseline=floor, fill=True, color=colour, alpha=0.85, label=name)
            floor = floor + rates
        below.set_title("Requests/s")
        below.set_xlabel("seconds")
        below.set_xlim(0, outcome.seconds)
        below.set_ylim(0, max(float(floor.max()) * 1.3, 1))
        below.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        below.legend(ncols=3, loc="upper left")
        return _svg(figure)


def over_rate(points: Sequence[RatePoint]) -> str:
    """Goodput over the offered rate, with what was asked for; and latency over it."""
    ordered = sorted(points, key=lambda point: point.offered)
    offered = [point.offered for point in ordered]
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(7.4, 4.3), layout="constrained")
        left, right = figure.subplots(1, 2)
        most = max(offered)
        left.plot([0, most], [0, most], color="#d1d5db", linestyle="--", linewidth=1.2, label="all that was offered")
        left.plot(offered, [point.goodput for point in ordered], color=GOOD, marker="o", markersize=4, label="goodput")
        bounds = [(point.offered, point.bound) for point in ordered if point.bound is not None]
        if bounds:
            left.plot(
                *zip(*bounds, strict=True), color=BAR, marker="_", markersize=14, linestyle=":", label="asked for"
            )
        left.set_title("Goodput over offered rate")
        left.set_xlabel("offered, requests/s")
        left.set_ylabel("good answers/s")
        left.set_ylim(0, max(max(point.goodput for point in ordered) * 1.35, 1))
        left.set_xlim(0, most * 1.04)
        left.legend(loc="upper left")
        right.plot(
            offered, [point.p99_s * 1000 for point in ordered], color=GOOD, marker="o", markersize=4, label="p99"
        )
        right.plot(
            offered, [point.p50_s * 1000 for point in ordered], color=GOOD_LIGHT, marker="o", markersize=4, label="p50"
        )
        right.axhline(P99_BAR_S * 1000, color=BAR, linestyle=":", linewidth=1.2, label="bar of C, 50 ms")
        right.set_title("Latency of the accepted")
        right.set_xlabel("offered, requests/s")
        right.set_xlim(0, most * 1.04)
        _log_milliseconds(right)
        _headroom(right)
        right.legend(loc="upper left", ncols=3)
        for axes in (left.xaxis, left.yaxis, right.xaxis):
            axes.set_major_formatter(FuncFormatter(_thousands))
        return _svg(figure)


def percentiles(outcome: Outcome) -> str:
    """Latency by percentile, each nine as wide as the one before."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(7.4, 2.7), layout="constrained")
        axes = figure.subplots()
        last = 1.0
        for name, which, colour in (("accepted", outcome.accepted, GOOD), ("refused", outcome.refused, REFUSED)):
            if which.any():
                last = max(last, _percentile_curve(axes, outcome, which, name, colour))
        shown = [one for one in _PERCENTILES if 1 / (1 - one) <= last * 1.01]
        axes.set_xscale("log")
        axes.set_xlim(1, last)
        axes.set_xticks([1 / (1 - one) for one in shown], [f"{one * 100:.5g} %" for one in shown])
        axes.minorticks_off()
        axes.set_title("Latency by percentile")
        _log_milliseconds(axes)
        axes.legend(loc="lower right")
        return _svg(figure)


def _percentile_curve(axes: Axes, outcome: Outcome, which: Flags, name: str, colour: str) -> float:
    """Draw one curve from its histogram; returns how far right it goes."""
    histogram = outcome.histogram(which)
    total = histogram.get_total_count()
    last = float(max(total, 2))
    at = 1 - 1 / np.geomspace(1, last, 200)
    values = [histogram.get_value_at_percentile(float(one) * 100) / 1000 for one in at]
    axes.plot(1 / (1 - at), values, color=colour, label=f"{name} ({total:,})", drawstyle="steps-post")
    return last


def _log_milliseconds(axes: Axes) -> None:
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} ms"))
    axes.yaxis.set_minor_formatter(FuncFormatter(lambda _value, _: ""))


def _headroom(axes: Axes) -> None:
    """Room for the legend above the curves."""
    low, high = axes.get_ylim()
    if math.isfinite(high) and low > 0:
        axes.set_ylim(low, high * (high / low) ** 0.28)


def _thousands(value: float, _: int) -> str:
    return f"{value / 1000:g}k" if value >= 1000 else f"{value:g}"  # noqa: PLR2004  # from there on a k is shorter


def _svg(figure: Figure) -> str:
    """The figure as an `<svg>` element; its ids are its own, since one page has many."""
    found = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": str(next(_numbers))}):
        figure.savefig(found, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = found.getvalue()
    return text[text.index("<svg") :]


def latency_over_rate(curves: Mapping[str, Sequence[RatePoint]]) -> str:
    """p50 and p99 over the offered rate, a colour for each service; to be read on white and on dark."""
    with mpl.rc_context({**_STYLE, **_ANY_GROUND}):
        figure = Figure(figsize=(7.4, 3.2), layout="constrained")
        axes = figure.subplots()
        for (name, points), colour in zip(curves.items(), (GOOD_ANYWHERE, REFUSED), strict=False):
            ordered = sorted(points, key=lambda point: point.offered)
            offered = [point.offered for point in ordered]
            for label, marker, line, times in (
                ("p99", "o", "-", [point.p99_s * 1000 for point in ordered]),
                ("p50", ".", ":", [point.p50_s * 1000 for point in ordered]),
            ):
                axes.plot(offered, times, color=colour, linestyle=line, marker=marker, label=f"{name} {label}")
        axes.set_title("Latency over rate, one warm ID, from when each request was due")
        axes.set_xlabel("requests/s")
        axes.set_xlim(0)
        _log_milliseconds(axes)
        _headroom(axes)
        axes.legend(loc="upper left", ncols=2)
        axes.xaxis.set_major_formatter(FuncFormatter(_thousands))
        return _svg(figure)

"""Draws curves of precision against recall as a small SVG, by hand: no plotting library is worth its size here."""

from collections.abc import Mapping
from typing import Final

import numpy as np

from model.training.history import Floats

_WIDTH: Final = 520
_HEIGHT: Final = 360
_LEFT: Final = 60
_TOP: Final = 20
_PLOT_W: Final = 420
_PLOT_H: Final = 280
_POINTS: Final = 150  # a curve has one point per distinct score, far more than pixels
_COLOURS: Final = ("#1f5fa8", "#b5651d", "#3b7d3b")


def precision_recall_svg(curves: Mapping[str, tuple[Floats, Floats]]) -> str:
    """The curves in one picture.

    Args:
        curves: Name to precision and recall, as `metrics.precision_recall` returns them; recall ascends.
    """
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}">',
        '<g font-family="sans-serif" font-size="12" fill="#333">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
        *(_gridline(tick / 5) for tick in range(6)),
        f'<text x="{_LEFT + _PLOT_W / 2:.0f}" y="{_HEIGHT - 12}" text-anchor="middle">recall</text>',
        f'<text transform="translate(16 {_TOP + _PLOT_H / 2:.0f}) rotate(-90)" text-anchor="middle">precision</text>',
    ]
    for position, (name, (precision, recall)) in enumerate(curves.items()):
        colour = _COLOURS[position % len(_COLOURS)]
        parts.append(f'<polyline points="{_path(precision, recall)}" fill="none" stroke="{colour}" stroke-width="2"/>')
        y = _TOP + 16 + 18 * position
        parts.append(f'<text x="{_LEFT + _PLOT_W - 8}" y="{y}" text-anchor="end" fill="{colour}">{name}</text>')
    return "\n".join([*parts, "</g>", "</svg>", ""])


def _path(precision: Floats, recall: Floats) -> str:
    even = np.searchsorted(recall, np.linspace(recall[0], 1.0, _POINTS))
    rows = np.unique(np.minimum(even, len(recall) - 1))
    return " ".join(f"{_x(r):.1f},{_y(p):.1f}" for p, r in zip(precision[rows], recall[rows], strict=True))


def _gridline(at: float) -> str:
    return (
        f'<path d="M{_x(0)} {_y(at):.1f}H{_x(1)}M{_x(at):.1f} {_y(0)}V{_y(1)}" stroke="#ddd"/>'
        f'<text x="{_LEFT - 6}" y="{_y(at) + 4:.1f}" text-anchor="end">{at:.1f}</text>'
        f'<text x="{_x(at):.1f}" y="{_y(0) + 16:.0f}" text-anchor="middle">{at:.1f}</text>'
    )


def _x(recall: float) -> float:
    return _LEFT + recall * _PLOT_W


def _y(precision: float) -> float:
    return _TOP + (1 - precision) * _PLOT_H

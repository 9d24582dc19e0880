"""A small alphabet of our own, drawn with a pen: the letters of the synthetic corpora, as strokes and as pixels.

May import `errors` only.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

__all__ = ["DIGITS", "LETTERS", "WORDS", "polyline", "raster", "written"]

Stroke = np.ndarray  # (points, 2): x to the right, y up; a small letter is one unit high


def _arc(
    centre: tuple[float, float], radii: tuple[float, float], start: float, stop: float
) -> list[tuple[float, float]]:
    """Return points of an ellipse from one angle to another, in degrees from the right, against the clock."""
    angles = np.radians(np.linspace(start, stop, 9))
    return [
        (centre[0] + radii[0] * float(np.cos(angle)), centre[1] + radii[1] * float(np.sin(angle))) for angle in angles
    ]


_ROUND = _arc((0.4, 0.5), (0.38, 0.5), 60, 300)
LETTERS: dict[str, list[list[tuple[float, float]]]] = {
    "a": [_arc((0.4, 0.5), (0.38, 0.5), 0, 360), [(0.78, 1.0), (0.78, 0.1), (0.9, 0.0)]],
    "c": [_ROUND],
    "e": [[(0.05, 0.5), (0.76, 0.5), *_arc((0.4, 0.5), (0.38, 0.5), 10, 300)]],
    "i": [[(0.1, 1.0), (0.1, 0.0)], [(0.1, 1.35), (0.12, 1.4)]],
    "l": [[(0.1, 1.7), (0.1, 0.1), (0.2, 0.0)]],
    "m": [[(0.05, 0.0), (0.05, 1.0)], [(0.05, 0.8), (0.3, 1.0), (0.45, 0.8), (0.45, 0.0)],
          [(0.45, 0.8), (0.7, 1.0), (0.85, 0.8), (0.85, 0.0)]],
    "n": [[(0.05, 0.0), (0.05, 1.0)], [(0.05, 0.75), (0.35, 1.0), (0.6, 0.8), (0.6, 0.0)]],
    "o": [_arc((0.4, 0.5), (0.38, 0.5), 90, 450)],
    "r": [[(0.05, 0.0), (0.05, 1.0)], [(0.05, 0.7), (0.25, 0.95), (0.5, 0.95)]],
    "s": [[(0.6, 0.85), (0.35, 1.0), (0.1, 0.8), (0.3, 0.55), (0.55, 0.4), (0.5, 0.1), (0.25, 0.0), (0.05, 0.15)]],
    "t": [[(0.25, 1.5), (0.25, 0.15), (0.4, 0.0), (0.55, 0.1)], [(0.0, 1.0), (0.5, 1.0)]],
    "u": [[(0.05, 1.0), (0.05, 0.25), (0.3, 0.0), (0.6, 0.2)], [(0.6, 1.0), (0.6, 0.0)]],
}  # fmt: skip
_LEXICON = """
    a ear in it one is at no iron lion moon rain rose sun sea star stone tree ocean nose clear cloister ten ant tea ice
    oil miner tailor sailor lesson letter sister minute corner colour electric caution rational
"""
WORDS = tuple(word for word in _LEXICON.split() if set(word) <= set(LETTERS))
DIGITS: dict[str, list[list[tuple[float, float]]]] = {
    "0": [_arc((0.5, 0.5), (0.4, 0.5), 90, 450)],
    "1": [[(0.3, 0.75), (0.55, 1.0), (0.55, 0.0)]],
    "2": [[*_arc((0.5, 0.7), (0.4, 0.3), 150, -30), (0.1, 0.0), (0.9, 0.0)]],
    "3": [[*_arc((0.45, 0.75), (0.4, 0.25), 140, -90), *_arc((0.45, 0.25), (0.45, 0.25), 90, -140)]],
    "4": [[(0.6, 1.0), (0.1, 0.35), (0.9, 0.35)], [(0.65, 0.6), (0.65, 0.0)]],
    "5": [[(0.85, 1.0), (0.25, 1.0), (0.2, 0.55), *_arc((0.45, 0.3), (0.42, 0.3), 110, -140)]],
    "6": [[(0.7, 1.0), (0.2, 0.5), *_arc((0.5, 0.28), (0.38, 0.28), 160, 520)]],
    "7": [[(0.1, 1.0), (0.9, 1.0), (0.4, 0.0)]],
    "8": [[*_arc((0.5, 0.75), (0.32, 0.25), -90, 270), *_arc((0.5, 0.25), (0.4, 0.25), 90, -270)]],
    "9": [[*_arc((0.5, 0.7), (0.36, 0.3), 0, 360), (0.8, 0.3), (0.6, 0.0)]],
}


def polyline(points: Sequence[tuple[float, float]] | Stroke, step: float) -> Stroke:
    """Return points along a line at about equal distances, its ends among them.

    Examples
    --------
    >>> polyline([(0, 0), (1, 0)], 0.5)
    array([[0. , 0. ],
           [0.5, 0. ],
           [1. , 0. ]])
    """
    corners = np.asarray(points, dtype=float)
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(corners, axis=0).T))])
    at = np.linspace(0.0, along[-1], max(2, 1 + round(along[-1] / step)))
    return np.column_stack([np.interp(at, along, corners[:, 0]), np.interp(at, along, corners[:, 1])])


def written(text: str, rng: np.random.Generator, *, wobble: float = 0.04) -> list[Stroke]:
    """Return a text as strokes by a made-up hand: its slant, its widths and its wobble are drawn at random."""
    slant, width, gap = rng.uniform(-0.1, 0.35), rng.uniform(0.85, 1.2), rng.uniform(0.2, 0.4)
    pen, strokes = 0.0, []
    for character in text:
        if character == " ":
            pen += 2.5 * gap
            continue
        glyph = LETTERS[character]
        for points in glyph:
            corners = np.array(points) + wobble * rng.standard_normal((len(points), 2))
            corners[:, 0] = pen + width * corners[:, 0] + slant * corners[:, 1]
            strokes.append(corners)
        pen += width * max(x for points in glyph for x, _ in points) + gap * rng.uniform(0.7, 1.3)
    return strokes


def raster(strokes: Sequence[Stroke], shape: tuple[int, int], *, thickness: float) -> np.ndarray:
    """Return strokes as ink from 0 to 1, shape (rows, columns); a unit is a pixel, and row 0 is on top.

    Examples
    --------
    >>> raster([np.array([[0.5, 0.5], [2.5, 0.5]])], (2, 3), thickness=1.0)
    array([[0., 0., 0.],
           [1., 1., 1.]])
    """
    rows, columns = shape
    ink = np.zeros(shape)
    for stroke in strokes:
        for (x0, y0), (x1, y1) in pairwise(stroke):
            # Only the pixels that this piece of the line can reach.
            reach = thickness + 1
            across = np.arange(max(0, int(min(x0, x1) - reach)), min(columns, int(max(x0, x1) + reach) + 1)) + 0.5
            top, bottom = rows - max(y0, y1) - reach, rows - min(y0, y1) + reach
            down = np.arange(max(0, int(top)), min(rows, int(bottom) + 1)) + 0.5
            if not (len(across) and len(down)):
                continue
            x, y = across[None, :] - x0, (rows - down)[:, None] - y0
            length = max((x1 - x0) ** 2 + (y1 - y0) ** 2, 1e-12)
            along = np.clip((x * (x1 - x0) + y * (y1 - y0)) / length, 0.0, 1.0)
            distance = np.hypot(x - along * (x1 - x0), y - along * (y1 - y0))
            window = ink[int(down[0]) : int(down[-1]) + 1, int(across[0]) : int(across[-1]) + 1]
            np.maximum(window, np.clip(0.5 + thickness / 2 - distance, 0.0, 1.0), out=window)
    return ink

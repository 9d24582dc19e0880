"""Images of text lines: read PNG files, straighten and scale a line to one height, columns as frames.

May import `errors` only. Pillow and scipy are imported on use.
"""

from __future__ import annotations

import io
import warnings

import numpy as np

from odyssey_kit.errors import DataError

__all__ = ["HEIGHT", "ink_of", "normalised", "read_png"]

HEIGHT = 48
_MAX_HEIGHT, _MAX_WIDTH = 1_000, 50_000
# clstm's line normaliser: a band of four mean deviations around the line's own centre, found after smoothing.
_RANGE, _SMOOTH_ALONG, _SMOOTH_CENTRE = 4.0, 1.0, 0.3


def read_png(data: bytes, source: str) -> np.ndarray:
    """Return an image's grey levels, shape (height, width), uint8; transparency is not looked at.

    Raises
    ------
    DataError
        If the bytes are no PNG image, damaged, or larger than a text line can be.

    Examples
    --------
    >>> from PIL import Image
    >>> stream = io.BytesIO()
    >>> Image.fromarray(np.array([[0, 255]], dtype=np.uint8)).save(stream, "PNG")
    >>> read_png(stream.getvalue(), "x.png")
    array([[  0, 255]], dtype=uint8)
    """
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
                width, height = image.size
                if not (0 < height <= _MAX_HEIGHT and 0 < width <= _MAX_WIDTH):
                    raise DataError(
                        f"{source}: {width} x {height} pixels, expected a line of at most {_MAX_HEIGHT} rows"
                    )
                levels = image.convert("RGB").convert("L") if image.mode == "RGBA" else image.convert("L")
                return np.asarray(levels, dtype=np.uint8)
    except DataError:
        raise
    except Exception as error:  # a decoder of hostile files has no closed list of what it raises
        raise DataError(f"{source}: not a readable PNG image ({type(error).__name__}: {str(error)[:80]})") from error


def ink_of(grey: np.ndarray) -> np.ndarray:
    """Return how dark each pixel is, 1 for ink and 0 for paper, float32."""
    return np.float32(1) - grey.astype(np.float32) / np.float32(255)


def normalised(ink: np.ndarray, height: int = HEIGHT) -> np.ndarray:
    """Return a line deskewed and scaled to one height, shape (height, new width), float32 from 0 to 1.

    Parameters
    ----------
    ink : numpy.ndarray, shape (height, width)
        1 for ink, 0 for paper.
    height : int
        Rows of the result.

    Notes
    -----
    The line's centre in each column is where the ink, smoothed over half the line's height across and its whole height
    along, is strongest. Every column is cut out around its centre, four mean distances of ink from the
    centre up and down, so that a slanted or wavy line lies straight, and then scaled by linear interpolation. The
    numbers are those of clstm's normaliser (target height 48, range 4, smoothing 1.0 and 0.3).

    Examples
    --------
    >>> slanted = np.zeros((40, 90))
    >>> for column in range(90):
    ...     slanted[10 + column // 9 : 16 + column // 9, column] = 1
    >>> straight = normalised(slanted)
    >>> straight.shape[0], int(np.abs(np.diff(straight.argmax(axis=0))).max()) <= 1 + 48 // 13
    (48, True)
    """
    from scipy import ndimage

    rows = ink.shape[0]
    line = ink / max(float(ink.max()), 1e-6)
    smooth = ndimage.gaussian_filter(line, (0.5 * rows, _SMOOTH_ALONG * rows), mode="constant")
    centre = ndimage.gaussian_filter(smooth.argmax(axis=0).astype(float), _SMOOTH_CENTRE * rows)
    distance = np.abs(np.arange(rows)[:, None] - centre)
    inked = line > 0.5
    radius = int(1 + _RANGE * (distance[inked].mean() if inked.any() else rows / 8))
    # The rows that are cut out of each column, some of them beyond the image, where there is no ink.
    steps = np.arange(-radius, radius)[:, None] + centre.round().astype(int)
    inside = (steps >= 0) & (steps < rows)
    cut = np.where(inside, np.take_along_axis(line, np.clip(steps, 0, rows - 1), axis=0), 0.0)
    factor = height / (2 * radius)
    width = max(1, round(ink.shape[1] * factor))
    if factor < 1:  # averaging first, or thin strokes fall between the samples
        cut = ndimage.gaussian_filter(cut, 0.5 * (1 / factor - 1))
    across = np.clip((np.arange(height) + 0.5) / factor - 0.5, 0, 2 * radius - 1)
    along = np.clip((np.arange(width) + 0.5) / factor - 0.5, 0, ink.shape[1] - 1)
    scaled = ndimage.map_coordinates(cut, np.meshgrid(across, along, indexing="ij"), order=1)
    return (scaled / max(float(scaled.max()), 1e-6)).astype(np.float32)

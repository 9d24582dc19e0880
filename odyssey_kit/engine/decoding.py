"""From outputs to label strings, and how far two strings lie apart.

Outputs are (T, K) with class 0 the blank; decoders that look only at each frame's largest output take
net inputs as well. May import `compiled`, `losses` and `errors`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from odyssey_kit.engine.compiled import kernel
from odyssey_kit.engine.losses import largest_of, softmax_row
from odyssey_kit.errors import UsageError

__all__ = [
    "best_classes",
    "best_path",
    "character_error_rate",
    "edit_distance",
    "label_errors",
    "peak_classes",
]


@kernel
def best_class(x):
    """Return the first class with the largest output; where there are NaN it may be -1."""
    most = largest_of(x)
    for k in range(x.size):
        if x[k] == most:
            return k
    return -1


@kernel
def best_classes(X, classes):
    """Write each frame's best class."""
    for t in range(X.shape[0]):
        classes[t] = best_class(X[t])


@kernel
def best_path(X, labels):
    """Decode by the best path after Graves: each frame's best class, repeats merged, blanks dropped.

    Parameters
    ----------
    X : ndarray
        (T, K) outputs or net inputs.
    labels : ndarray
        (T,) int64, overwritten in front.

    Returns
    -------
    int
        How many labels were written.
    """
    length = 0
    previous = 0
    for t in range(X.shape[0]):
        k = best_class(X[t])
        if k > 0 and k != previous:
            labels[length] = k
            length += 1
        previous = k
    return length


@kernel
def peak_classes(X, labels, keep_open):
    """Decode as clstm does: of each run of frames whose best class is not blank, the class at the highest peak.

    So neighbouring labels without a blank between them merge into one, equal or not.

    Parameters
    ----------
    X : ndarray
        (T, K) outputs. Peaks are compared across frames, so net inputs will not do.
    labels : ndarray
        (T,) int64, overwritten in front.
    keep_open : bool
        Whether a run that the end of the sequence cuts off counts; clstm forgets it.

    Returns
    -------
    int
        How many labels were written.
    """
    length = 0
    peak = X.dtype.type(0)
    label = 0
    for t in range(X.shape[0]):
        k = best_class(X[t])
        if k <= 0:
            if label:
                labels[length] = label
                length += 1
            label = 0
        elif label == 0 or X[t, k] > peak:
            peak = X[t, k]
            label = k
    if label and keep_open:
        labels[length] = label
        length += 1
    return length


@kernel
def edit_distance(a, b):
    """Return the fewest insertions, deletions and substitutions that turn one string of integers into the other.

    Examples
    --------
    >>> edit_distance(np.array([1, 2, 3, 4]), np.array([2, 3, 5]))
    2
    """
    # What is equal in front and at the end costs nothing; one row of Levenshtein's table does the rest.
    start, m, n = 0, a.size, b.size
    while start < m and start < n and a[start] == b[start]:
        start += 1
    while m > start and n > start and a[m - 1] == b[n - 1]:
        m -= 1
        n -= 1
    row = np.arange(n - start + 1)
    for i in range(start, m):
        diagonal = row[0]
        left = diagonal + 1
        row[0] = left
        symbol = a[i]
        for j in range(start, n):
            above = row[j - start + 1]
            left = min(min(left, above) + 1, diagonal + (symbol != b[j]))
            diagonal = above
            row[j - start + 1] = left
    return row[n - start]


@kernel
def label_errors(X, offsets, labels, label_offsets, peaks):
    """Decode every sequence and return the sum of edit distances to its labels.

    Parameters
    ----------
    X : ndarray
        (frames, K) net inputs of a softmax, sequences end to end; overwritten if peaks is set.
    offsets, labels, label_offsets : ndarray
        Where each sequence's frames lie, its labels, and where those lie.
    peaks : bool
        Decode by `peak_classes` with open runs kept, else by `best_path`.
    """
    total = 0
    longest = 0
    for s in range(offsets.size - 1):
        longest = max(longest, offsets[s + 1] - offsets[s])
    decoded = np.empty(longest, np.int64)
    for s in range(offsets.size - 1):
        x = X[offsets[s] : offsets[s + 1]]
        if peaks:
            for t in range(x.shape[0]):
                softmax_row(x[t])
            length = peak_classes(x, decoded, True)
        else:
            length = best_path(x, decoded)
        total += edit_distance(labels[label_offsets[s] : label_offsets[s + 1]], decoded[:length])
    return total


def character_error_rate(references: Sequence[np.ndarray], decoded: Sequence[np.ndarray]) -> float:
    """Return the sum of edit distances divided by the sum of the references' lengths.

    Not the mean of each string's own rate: a long line weighs more than a short one. Above 1 where
    much is inserted.

    Parameters
    ----------
    references, decoded : sequence of ndarray
        Strings of integers, one a sequence.

    Examples
    --------
    >>> character_error_rate([np.array([1, 2, 3]), np.array([4])], [np.array([1, 3]), np.array([4])])
    0.25
    """
    if len(references) != len(decoded):
        raise UsageError(f"got {len(references)} references and {len(decoded)} decoded strings; expected one for each")
    length = sum(len(reference) for reference in references)
    if not length:
        raise UsageError("the references hold no label, so there is no error rate; expected at least one label")
    distances = (
        edit_distance(np.ascontiguousarray(a, dtype=np.int64), np.ascontiguousarray(b, dtype=np.int64))
        for a, b in zip(references, decoded, strict=True)
    )
    return int(sum(distances)) / length

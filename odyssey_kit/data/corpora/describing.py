"""What every corpus ends with: a SequenceDataset that says what its manifest says, and the counts that it promises.

May import `errors` and the rest of `data`.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping

from odyssey_kit.data.dataset import SequenceDataset
from odyssey_kit.data.manifest import Manifest
from odyssey_kit.data.sequences import Split
from odyssey_kit.errors import DataError

__all__ = ["described"]


def described(
    manifest: Manifest,
    splits: Mapping[str, Split],
    *,
    sha256: str,
    symbols: tuple[str, ...] = (),
    options: frozenset[str] = frozenset(),
    source: str = "",
) -> SequenceDataset:
    """Return the data set, after comparing it with its manifest.

    Parameters
    ----------
    manifest : Manifest
        What is promised.
    splits : mapping of str to Split
        For train, valid and test.
    sha256 : str
        Hash of what the numbers were read from.
    symbols : tuple of str
        What the classes mean.
    options : frozenset of str
        What was asked for besides; counts are compared where nothing was.
    source : str
        Where the numbers were read, for messages.

    Raises
    ------
    DataError
        If counts are not the manifest's.

    Warns
    -----
    UserWarning
        If those of a licensee's copy are not: nobody here has seen one, so the copy may be right.
    """
    if not options:
        for name, expected in manifest.splits.items():
            split = splits[name]
            # A piece of T frames, of which the next is to be told, has T - 1 that are inputs.
            frames = split.frames + (len(split) if manifest.task == "next-step" else 0)
            got = {"sequences": len(split), "frames": frames, "labels": len(split.targets)}
            got = {key: got[key] for key in expected}
            if got != dict(expected):
                words = f"{source or manifest.name}: split {name} has {got}, expected {dict(expected)}"
                if manifest.layout is None:
                    raise DataError(words)
                warnings.warn(f"{words}, as in the papers", stacklevel=2)
    return SequenceDataset(
        name=f"{manifest.name}[{','.join(sorted(options))}]" if options else manifest.name,
        task=manifest.task,
        train=splits["train"],
        valid=splits["valid"],
        test=splits["test"],
        input_size=manifest.features,
        output_size=len(symbols) or manifest.outputs,
        symbols=symbols,
        frame=manifest.frame,
        stand_in_for=manifest.stand_in_for,
        sha256=sha256,
        licence=manifest.licence,
        citation=manifest.citation,
    )

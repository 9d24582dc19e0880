"""JSB Chorales: 382 chorales by J. S. Bach in the split of Boulanger-Lewandowski et al. (2012).

The data of the Odyssey's third task: 88 keys, one frame a quarter note, transposed to C major or C
minor. May import `errors` and the rest of `data`.
"""

from __future__ import annotations

import hashlib

from odyssey_kit.data.manifest import SPLITS, Manifest
from odyssey_kit.data.notes import next_step_split, parse_notes
from odyssey_kit.data.sequences import SequenceDataset
from odyssey_kit.errors import DataError

__all__ = ["load"]


def load(manifest: Manifest, data: bytes, source: str) -> SequenceDataset:
    """Return the chorales for next-step prediction.

    Parameters
    ----------
    manifest : Manifest
        What the file must hold.
    data : bytes
        The file, see `odyssey_kit.data.notes`.
    source : str
        Its name, for messages.

    Raises
    ------
    DataError
        If the file is malformed or its counts are not the manifest's.
    """
    pieces = parse_notes(data, source=source)
    for split in SPLITS:
        got = {"sequences": len(pieces[split]), "frames": sum(map(len, pieces[split]))}
        if got != dict(manifest.splits[split]):
            raise DataError(f"{source}: split {split} has {got}, expected {dict(manifest.splits[split])}")
    return SequenceDataset(
        name=manifest.name,
        task=manifest.task,
        train=next_step_split(pieces["train"]),
        valid=next_step_split(pieces["valid"]),
        test=next_step_split(pieces["test"]),
        input_size=manifest.features,
        output_size=manifest.features,
        stand_in_for=manifest.stand_in_for,
        sha256=hashlib.sha256(data).hexdigest(),
        licence=manifest.licence,
        citation=manifest.citation,
    )

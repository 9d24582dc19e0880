"""JSB Chorales: 382 chorales by J. S. Bach in the split of Boulanger-Lewandowski et al. (2012).

The data of the Odyssey's third task: 88 keys, one frame a quarter note, transposed to C major or C
minor. May import `errors` and the rest of `data`.
"""

from __future__ import annotations

from odyssey_kit.data.corpora.describing import described
from odyssey_kit.data.dataset import SequenceDataset
from odyssey_kit.data.manifest import SPLITS
from odyssey_kit.data.notes import next_step_split, parse_notes
from odyssey_kit.data.opened import Opened

__all__ = ["load"]


def load(opened: Opened, options: frozenset[str] = frozenset()) -> SequenceDataset:
    """Return the chorales for next-step prediction.

    Raises
    ------
    DataError
        If the file is malformed or its counts are not the manifest's.
    """
    source = opened.shown()
    pieces = parse_notes(opened.read(), source=source)
    splits = {split: next_step_split(pieces[split]) for split in SPLITS}
    return described(opened.manifest, splits, sha256=opened.sha256, options=options, source=source)

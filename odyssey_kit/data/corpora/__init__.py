"""The corpora: one module each, which reads its file into a SequenceDataset and, where needed, builds it.

May import `errors` and the rest of `data`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from odyssey_kit.data.corpora import bach_chorales, jsb_chorales
from odyssey_kit.data.manifest import Manifest
from odyssey_kit.data.sequences import SequenceDataset

__all__ = ["CORPORA", "Corpus"]


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """How the file of a data set is read.

    Parameters
    ----------
    load : callable
        From the manifest, the verified bytes and the file's name for messages, the data set.
    build : callable or None
        From the manifest, the bytes of the source file and its name (and a flag for a progress bar), the bytes of
        the built file.
    """

    load: Callable[[Manifest, bytes, str], SequenceDataset]
    build: Callable[[Manifest, bytes, str, bool], bytes] | None = None


CORPORA: Mapping[str, Corpus] = MappingProxyType(
    {
        "bach-chorales": Corpus(load=bach_chorales.load, build=bach_chorales.build),
        "jsb-chorales": Corpus(load=jsb_chorales.load),
    }
)

"""The corpora: one module each, which reads its files into a SequenceDataset and, where needed, builds them.

May import `errors` and the rest of `data`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from odyssey_kit.data.corpora import (
    archiscribe_lines,
    bach_chorales,
    iam_ondb,
    jsb_chorales,
    mnist,
    spoken_digits,
    timit,
    unipen_lines,
    uw3,
)
from odyssey_kit.data.corpora.synthetic import SYNTHETIC
from odyssey_kit.data.dataset import SequenceDataset
from odyssey_kit.data.opened import Build, Opened

__all__ = ["CORPORA", "Corpus"]


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """How the files of a data set are read.

    Parameters
    ----------
    load : callable
        From the opened files and the options asked for, the data set.
    build : callable or None
        From the manifest, the bytes of the source file and its name (and a flag for a progress bar), the bytes of
        the built file.
    """

    load: Callable[[Opened, frozenset[str]], SequenceDataset]
    build: Build | None = None


CORPORA: Mapping[str, Corpus] = MappingProxyType(
    {
        "archiscribe-lines": Corpus(load=archiscribe_lines.load),
        "bach-chorales": Corpus(load=bach_chorales.load, build=bach_chorales.build),
        "iam-ondb": Corpus(load=iam_ondb.load),
        "jsb-chorales": Corpus(load=jsb_chorales.load),
        "mnist": Corpus(load=mnist.load),
        "mnist-5k": Corpus(load=mnist.load_5k),
        "spoken-digits": Corpus(load=spoken_digits.load),
        **{name: Corpus(load=load) for name, load in SYNTHETIC.items()},
        "timit": Corpus(load=timit.load),
        "unipen-lines": Corpus(load=unipen_lines.load),
        "uw3": Corpus(load=uw3.load),
    }
)

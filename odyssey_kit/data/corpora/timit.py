"""TIMIT: read sentences with hand-labelled phones, the data of the Odyssey's speech task, from a licensee's folder.

3,696 sentences train (SX and SI of the 462 training speakers), the core test set of 24 speakers (192 sentences)
tests, and the 50 speakers of the usual development set (400 sentences) are valid; the SA sentences, which
everybody read, are left out. 61 phones; with the option ``folded`` the 39 of Lee and Hon (1989), with the
glottal stop q, which they leave out, counted as silence, because a frame needs a class. Sounds are NIST SPHERE
or RIFF files, whatever they are called. May import `errors` and the rest of `data`.
"""

from __future__ import annotations

import re

from odyssey_kit.data.audio import read_sound
from odyssey_kit.data.corpora.describing import described
from odyssey_kit.data.corpora.speech import Utterance, speech_splits
from odyssey_kit.data.dataset import SequenceDataset
from odyssey_kit.data.folders import Folder
from odyssey_kit.data.mfcc import MFCC
from odyssey_kit.data.opened import Opened
from odyssey_kit.data.prepared import Made, prepared
from odyssey_kit.errors import DataError

__all__ = ["CORE_TEST_SPEAKERS", "FOLDED", "FOLDING", "PHONES", "VALID_SPEAKERS", "load", "parse_phones"]


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


PHONES = _words(
    "aa ae ah ao aw ax ax-h axr ay b bcl ch d dcl dh dx eh el em en eng epi er ey f g gcl h# hh hv ih ix iy jh k kcl l "
    "m n ng nx ow oy p pau pcl q r s sh t tcl th uh uw ux v w y z zh"
)
# Lee and Hon (1989), table II, by what becomes of a phone; the others stay as they are.
FOLDING = {
    **dict.fromkeys(_words("bcl dcl gcl pcl tcl kcl epi pau h# q"), "sil"),
    **{"ao": "aa", "ax": "ah", "ax-h": "ah", "axr": "er", "hv": "hh", "ix": "ih", "ux": "uw"},
    **{"el": "l", "em": "m", "en": "n", "nx": "n", "eng": "ng", "zh": "sh"},
}
FOLDED = tuple(sorted({FOLDING.get(phone, phone) for phone in PHONES}))
# Three speakers of each dialect region, as the corpus's documentation names them.
CORE_TEST_SPEAKERS = frozenset(
    _words(
        "mdab0 mwbt0 felc0 mtas1 mwew0 fpas0 mjmp0 mlnt0 fpkt0 mlll0 mtls0 fjlm0 mbpm0 mklt0 fnlp0 mcmj0 mjdh0 fmgd0 "
        "mgrt0 mnjm0 fdhc0 mjln0 mpam0 fmld0"
    )
)
# Halberstadt (1998): fifty others of the test part.
VALID_SPEAKERS = frozenset(
    _words(
        "faks0 fdac1 fjem0 mgwt0 mjar0 mmdb1 mmdm2 mpdf0 fcmh0 fkms0 mbdg0 mbwm0 mcsh0 fadg0 fdms0 fedw0 mgjf0 mglb0 "
        "mrtk0 mtaa0 mtdt0 mthc0 mwjg0 fnmr0 frew0 fsem0 mbns0 mmjr0 mdls0 mdlf0 mdvc0 mers0 fmah0 fdrw0 mrcs0 mrjm4 "
        "fcal1 mmwh0 fjsj0 majc0 mjsw0 mreb0 fgjd0 fjmg0 mroa0 mteb0 mjfc0 mrjr0 fmml0 mrws1"
    )
)
RECIPE = MFCC(sample_rate=16_000)
_VERSION = 1
_MAX_SOUND_BYTES, _MAX_TEXT_BYTES = 4_000_000, 100_000
# train/dr1/fcjf0/sx37.wav, below any folder; copies have .wav.wav for files that were converted.
_SOUND = re.compile(r"(?:.*/)?(train|test)/(dr[1-8])/(\w{5})/((?:sx|si)\d+)\.wav(?:\.wav)?")


def load(opened: Opened, options: frozenset[str] = frozenset()) -> SequenceDataset:
    """Return 39 features a frame and the phone of each; computed once, then read from the cache.

    Raises
    ------
    MissingDataError
        If there is no licensee's folder; the message says where to apply and what it looks like.
    DataError
        If a file is malformed, or one of the pair of sound and phones is missing.
    """
    folder = opened.folder
    symbols = FOLDED if "folded" in options else PHONES
    key = f"{folder.fingerprint} {RECIPE} {_VERSION} {len(symbols)}"
    ready = prepared(opened.manifest, key, lambda: _make(opened, folder, symbols))
    return described(
        opened.manifest, ready.splits, sha256=ready.sha256, symbols=symbols, options=options, source=str(folder.root)
    )


def parse_phones(data: bytes, source: str) -> list[tuple[int, int, str]]:
    r"""Return the lines of a .PHN file: first sample, end, phone.

    Lines of no length, of which the corpus has a few, are left out.

    Raises
    ------
    DataError
        If a line is anything else, its phone is none of the 61, or it begins before the one above ends.

    Examples
    --------
    >>> parse_phones(b"0 3050 h#\n3050 4559 sh\n", "x.phn")
    [(0, 3050, 'h#'), (3050, 4559, 'sh')]
    """
    segments: list[tuple[int, int, str]] = []
    for number, line in enumerate(data.decode("latin-1").splitlines(), start=1):
        if not line.strip():
            continue
        match = re.fullmatch(r"\s*(\d{1,9})\s+(\d{1,9})\s+(\S{1,10})\s*", line)
        if match is None or match[3] not in PHONES:
            raise DataError(
                f"{source}: line {number} is {line[:40]!r}, expected 'start end phone' with one of 61 phones"
            )
        start, end = int(match[1]), int(match[2])
        if end < start or (segments and start < segments[-1][1]):
            raise DataError(f"{source}: line {number} goes from {start} to {end}, which is before the line above ends")
        if end > start:
            segments.append((start, end, match[3]))
    if not segments:
        raise DataError(f"{source}: has no phones")
    return segments


def _split_of(part: str, speaker: str) -> str | None:
    if part == "train":
        return "train"
    return "test" if speaker in CORE_TEST_SPEAKERS else "valid" if speaker in VALID_SPEAKERS else None


def _make(opened: Opened, folder: Folder, symbols: tuple[str, ...]) -> Made:
    utterances: dict[str, list[Utterance]] = {"train": [], "valid": [], "test": []}
    seen: set[tuple[str, str]] = set()
    for name in folder.files:  # sorted, so that a.wav comes before the a.wav.wav that was made from it
        match = _SOUND.fullmatch(name)
        split = _split_of(match[1], match[3]) if match else None
        if match is None or split is None or (match[3], match[4]) in seen:
            continue
        seen.add((match[3], match[4]))
        utterances[split].append(_utterance(folder, name, f"{match[3]}/{match[4]}", symbols))
    for split, found in utterances.items():
        if not found:
            raise DataError(
                f"{folder.root}: no sentence of {split} is there, expected TRAIN/DR1/FCJF0/SX37.WAV and so on"
            )
    splits = speech_splits(
        utterances, RECIPE, source=str(folder.root), what=opened.manifest.name, progress=opened.progress
    )
    return Made(splits, folder.sha256)


def _utterance(folder: Folder, name: str, title: str, symbols: tuple[str, ...]) -> Utterance:
    samples, rate = read_sound(folder.read(name, limit=_MAX_SOUND_BYTES), folder.shown(name))
    if rate != RECIPE.sample_rate:
        raise DataError(f"{folder.shown(name)}: {rate:,} samples a second, expected {RECIPE.sample_rate:,}")
    phones = name.split(".wav")[0] + ".phn"
    segments = parse_phones(folder.read(phones, limit=_MAX_TEXT_BYTES), folder.shown(phones))
    fold = FOLDING if len(symbols) < len(PHONES) else {}
    numbered = [(start, end, symbols.index(fold.get(phone, phone))) for start, end, phone in segments]
    return Utterance(title, samples, numbered)

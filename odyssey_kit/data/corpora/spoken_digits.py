"""Spoken digits: 2,937 recordings of six speakers with the phones that a machine heard, a stand-in for TIMIT.

The recordings are the Free Spoken Digit Dataset, 8 kHz. Their phones come from a forced alignment by
pocketsphinx, so an error rate measures agreement with that program, and no ear has checked it. It was made of
each recording with 0.2 seconds of silence at both ends; here that padding is taken off again, so that what is
left of the class SIL is the recording's own. Frames are of 25 ms every 10 ms, each with the phone that covers
most of it. In the order of their names the last speaker tests, the one before is valid, and the others train,
so no voice is in two splits. May import `errors` and the rest of `data`.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from typing import Any

from odyssey_kit.data.archives import gunzip, open_zip, read_member
from odyssey_kit.data.audio import read_sound
from odyssey_kit.data.corpora.describing import described
from odyssey_kit.data.corpora.speech import Utterance, speech_splits
from odyssey_kit.data.dataset import SequenceDataset
from odyssey_kit.data.mfcc import MFCC
from odyssey_kit.data.opened import Opened
from odyssey_kit.data.prepared import Made, prepared
from odyssey_kit.errors import DataError

__all__ = ["PHONES", "RECIPE", "load", "parse_alignment"]

PHONES = (
    *("SIL", "AH", "AO", "AY", "EH", "EY", "F", "IH", "IY", "K", "N", "OW", "R", "S", "T", "TH", "UW", "V", "W", "Z"),
)
RECIPE = MFCC(sample_rate=8_000)
_VERSION = 1
_SOUNDS, _ALIGNMENT = "fsdd_wavs.zip", "fsdd_align.json.gz"
_PADDING = 20  # frames of 10 ms at each end
_MAX_JSON_BYTES = 16_000_000
_MAX_SOUND_BYTES = 1_000_000
_NAME = re.compile(r"(\d)_([a-z]{1,20})_(\d{1,3})\.wav")

Alignment = Mapping[str, list[tuple[str, int, int]]]


def load(opened: Opened, options: frozenset[str] = frozenset()) -> SequenceDataset:
    """Return 39 features a frame and the phone of each; computed once, then read from the cache.

    Raises
    ------
    DataError
        If a file is malformed or counts are not the manifest's.
    """
    ready = prepared(opened.manifest, f"{opened.sha256} {RECIPE} {_VERSION}", lambda: _make(opened))
    return described(opened.manifest, ready.splits, sha256=ready.sha256, symbols=PHONES, options=options)


def parse_alignment(data: bytes, source: str) -> Alignment:
    """Return each recording's phones as (phone, first frame, frames), in frames of 10 ms of the padded recording.

    Raises
    ------
    DataError
        If the file is anything else than such lists, without gaps.

    Examples
    --------
    >>> import gzip
    >>> parse_alignment(gzip.compress(b'{"0_jo_1.wav": [["SIL", 0, 30], ["AH", 30, 9]]}'), "x")
    {'0_jo_1.wav': [('SIL', 0, 30), ('AH', 30, 9)]}
    """
    try:
        parsed: Any = json.loads(gunzip(data, limit=_MAX_JSON_BYTES, source=source))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{source}: not JSON ({str(error)[:80]})") from error
    if not isinstance(parsed, dict):
        raise DataError(f"{source}: got {type(parsed).__name__}, expected an object of recordings")
    return {name: _checked(name, phones, source) for name, phones in parsed.items()}


def _checked(name: str, phones: Any, source: str) -> list[tuple[str, int, int]]:
    where = f"{source}: {name[:40]!r}"
    if not _NAME.fullmatch(name):
        raise DataError(f"{where} is not the name of a recording, such as 7_jackson_32.wav")
    if not isinstance(phones, list) or not 0 < len(phones) <= 1000:
        raise DataError(f"{where}: expected a list of phones")
    now, checked = 0, []
    for phone in phones:
        if not isinstance(phone, list) or len(phone) != 3 or phone[0] not in PHONES:
            raise DataError(f"{where}: got {str(phone)[:60]}, expected [phone, first frame, frames]")
        start, count = phone[1:]
        if type(start) is not int or type(count) is not int or start != now or not 0 < count < 100_000:
            raise DataError(f"{where}: {str(phone)[:60]} does not begin where the phone before ends, at {now}")
        checked.append((phone[0], start, count))
        now += count
    return checked


def _make(opened: Opened) -> Made:
    alignment = parse_alignment(opened.read(_ALIGNMENT), opened.shown(_ALIGNMENT))
    source = opened.shown(_SOUNDS)
    archive = open_zip(io.BytesIO(opened.read(_SOUNDS)), source)
    speakers = sorted({name.split("_")[1] for name in alignment})
    if len(speakers) < 3:
        raise DataError(f"{opened.shown(_ALIGNMENT)}: {len(speakers)} speakers, expected at least 3")
    part = {speakers[-1]: "test", speakers[-2]: "valid"}
    utterances: dict[str, list[Utterance]] = {"train": [], "valid": [], "test": []}
    for name in sorted(alignment):
        sound = read_member(archive, f"recordings/{name}", limit=_MAX_SOUND_BYTES, source=source)
        samples, rate = read_sound(sound, f"{source}: {name}")
        if rate != RECIPE.sample_rate:
            raise DataError(f"{source}: {name} has {rate:,} samples a second, expected {RECIPE.sample_rate:,}")
        hop = RECIPE.hop_samples
        segments = [
            (hop * (start - _PADDING), hop * (start - _PADDING + count), PHONES.index(phone))
            for phone, start, count in alignment[name]
        ]
        speaker = name.split("_")[1]
        utterances[part.get(speaker, "train")].append(Utterance(f"{speaker}/{name[:-4]}", samples, segments))
    splits = speech_splits(utterances, RECIPE, source=source, what=opened.manifest.name, progress=opened.progress)
    return Made(splits, opened.sha256)

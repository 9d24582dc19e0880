"""Read MusicXML scores: which note sounds when, part by part, and the key signature.

Only what sampling needs: partwise scores, pitches, durations, ties left alone (sampling does not hear them),
repeats not played. XML that declares entities is refused. May import `errors`, `data.archives` and
`data.guarded_xml`.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from fractions import Fraction

from odyssey_kit.data.archives import open_zip, read_member
from odyssey_kit.data.guarded_xml import MAX_XML_BYTES, parse_xml
from odyssey_kit.errors import DataError

__all__ = ["Note", "Score", "parse_xml", "read_score", "score_bytes"]

_MAX_QUARTERS = 50_000

_SEMITONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


@dataclass(frozen=True)
class Note:
    """A sounding note: when it begins and how long it lasts, in quarter notes, and its MIDI number."""

    onset: Fraction
    duration: Fraction
    pitch: int


@dataclass(frozen=True, kw_only=True)
class Score:
    """What is kept of a score.

    Parameters
    ----------
    parts : tuple of str
        Names of the parts.
    notes : tuple of Note
        Of all parts.
    length : Fraction
        Quarter notes from the first measure's start to the last one's end.
    fifths : int or None
        Sharps (positive) or flats (negative) of the first key signature.
    mode : str or None
        "major" or "minor", as the first key signature says.
    """

    parts: tuple[str, ...]
    notes: tuple[Note, ...]
    length: Fraction
    fifths: int | None
    mode: str | None


def score_bytes(data: bytes, name: str) -> bytes:
    """Return the XML of a file: an .mxl is an archive whose container names the score."""
    if not name.endswith(".mxl"):
        return data
    archive = open_zip(data, name)
    container = parse_xml(read_member(archive, "META-INF/container.xml", limit=100_000, source=name), name)
    for element in container.iter():
        if element.tag.rpartition("}")[2] == "rootfile" and element.get("full-path"):
            return read_member(archive, str(element.get("full-path")), limit=MAX_XML_BYTES, source=name)
    raise DataError(f"{name}: META-INF/container.xml names no score")


def read_score(data: bytes, name: str) -> Score:
    """Read a MusicXML score.

    Parameters
    ----------
    data : bytes
        An .mxl archive, or the XML itself.
    name : str
        The file's name, for its ending and for messages.

    Raises
    ------
    DataError
        If the file is not a readable partwise score.
    """
    root = parse_xml(score_bytes(data, name), name)
    if root.tag != "score-partwise":
        raise DataError(f"{name}: root element is {root.tag!r}, expected 'score-partwise'")
    if root.find(".//transpose") is not None:
        raise DataError(f"{name}: has a transposing instrument, which is not supported")
    parts = [_read_part(part, name) for part in root.findall("part")]
    starts = _measure_starts([lengths for lengths, _ in parts])
    if starts[-1] > _MAX_QUARTERS:
        raise DataError(f"{name}: lasts {int(starts[-1]):,} quarter notes, expected at most {_MAX_QUARTERS:,}")
    fifths = root.find(".//key/fifths")
    mode = root.findtext(".//key/mode")
    return Score(
        parts=tuple((element.text or "").strip() for element in root.iterfind("part-list/score-part/part-name")),
        notes=tuple(
            Note(starts[measure] + note.onset, note.duration, note.pitch)
            for _, notes in parts
            for measure, note in notes
        ),
        length=starts[-1],
        fifths=None if fifths is None else _integer(fifths.text, -12, 12, name, "fifths"),
        mode=mode if mode in ("major", "minor") else None,
    )


def _measure_starts(parts: list[list[Fraction]]) -> list[Fraction]:
    """Return where each measure starts, and the end; parts share their measures, of which the longest counts."""
    starts = [Fraction(0)]
    for measure in range(max(map(len, parts), default=0)):
        starts.append(starts[-1] + max(lengths[measure] for lengths in parts if measure < len(lengths)))
    return starts


def _read_part(part: ET.Element, name: str) -> tuple[list[Fraction], list[tuple[int, Note]]]:
    """Return the length of each measure, and the notes with their measure and their onset in it."""
    lengths: list[Fraction] = []
    notes: list[tuple[int, Note]] = []
    divisions = 1
    for measure in part.findall("measure"):
        now = end = chord_onset = Fraction(0)
        for element in measure:
            if element.tag == "attributes" and element.find("divisions") is not None:
                divisions = _integer(element.findtext("divisions"), 1, 10**6, name, "divisions")
            elif element.tag in ("backup", "forward"):
                step = _duration(element, divisions, name)
                now = max(Fraction(0), now - step) if element.tag == "backup" else now + step
            elif element.tag == "note" and element.find("grace") is None and element.find("cue") is None:
                duration = _duration(element, divisions, name)
                onset = chord_onset if element.find("chord") is not None else now
                pitch = element.find("pitch")
                if pitch is not None:
                    notes.append((len(lengths), Note(onset, duration, _midi(pitch, name))))
                if element.find("chord") is None:
                    chord_onset, now = now, now + duration
            end = max(end, now)
        lengths.append(end)
    return lengths, notes


def _duration(element: ET.Element, divisions: int, name: str) -> Fraction:
    return Fraction(_integer(element.findtext("duration"), 0, 10**9, name, "duration"), divisions)


def _midi(pitch: ET.Element, name: str) -> int:
    step = (pitch.findtext("step") or "").strip()
    if step not in _SEMITONES:
        raise DataError(f"{name}: a note's step is {step!r}, expected one of {', '.join(_SEMITONES)}")
    octave = _integer(pitch.findtext("octave"), 0, 9, name, "octave")
    alter = _integer(pitch.findtext("alter", "0"), -3, 3, name, "alter")
    return 12 * (octave + 1) + _SEMITONES[step] + alter


def _integer(text: str | None, low: int, high: int, name: str, what: str) -> int:
    stripped = (text or "").strip()
    if not re.fullmatch(r"-?[0-9]{1,12}", stripped) or not low <= int(stripped) <= high:
        raise DataError(f"{name}: {what} is {stripped[:20]!r}, expected a whole number from {low} to {high}")
    return int(stripped)

"""Small scores in MusicXML, written from nothing."""

from __future__ import annotations

import io
import zipfile

DOCTYPE = '<!DOCTYPE score-partwise PUBLIC "-//Recordare//DTD MusicXML 3.0 Partwise//EN" "http://example.org/x.dtd">'


def note(pitch: str, duration: int, extra: str = "") -> str:
    step, octave = pitch[0], pitch[-1]
    alter = {"#": "<alter>1</alter>", "b": "<alter>-1</alter>"}.get(pitch[1:-1], "")
    inside = f"<pitch><step>{step}</step>{alter}<octave>{octave}</octave></pitch>" if step != "-" else "<rest/>"
    return f"<note>{extra}{inside}<duration>{duration}</duration></note>"


def score(*parts: str, names: str = "AB") -> bytes:
    listed = "".join(f"<score-part id='P{name}'><part-name>{name}</part-name></score-part>" for name in names)
    body = "".join(f"<part id='P{index}'>{part}</part>" for index, part in enumerate(parts))
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>{DOCTYPE}<score-partwise version="3.0">'
        f"<part-list>{listed}</part-list>{body}</score-partwise>"
    ).encode()


def attributes(divisions: int, key: str = "<key><fifths>-2</fifths><mode>minor</mode></key>") -> str:
    return f"<attributes><divisions>{divisions}</divisions>{key}</attributes>"


def mxl(xml: bytes, *, container: bytes | None = None, member: str = "score.xml") -> bytes:
    if container is None:
        container = f'<container><rootfiles><rootfile full-path="{member}"/></rootfiles></container>'.encode()
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("META-INF/container.xml", container)
        archive.writestr(member, xml)
    return stream.getvalue()


FIRST = (
    f"<measure>{attributes(2)}{note('C4', 2)}{note('E4', 2, '<chord/>')}{note('-', 1)}{note('Bb3', 1)}</measure>"
    f"<measure>{note('F#5', 3)}</measure>"
)
SECOND = (
    f"<measure>{attributes(3)}{note('C2', 3)}<backup><duration>3</duration></backup>{note('G2', 6)}"
    "<note><grace/><pitch><step>A</step><octave>4</octave></pitch></note></measure>"
    f"<measure><attributes><divisions>1</divisions></attributes><forward><duration>1</duration></forward>"
    f"{note('D3', 1)}</measure>"
)

"""Scores are read note by note as written, and no file makes the reader crash, hang or leave its archive."""

from __future__ import annotations

from fractions import Fraction

import pytest
from scores import DOCTYPE, FIRST, SECOND, attributes, mxl, note, score

from odyssey_kit.data.archives import open_zip, read_member
from odyssey_kit.data.corpora.musicxml import Note, parse_xml, read_score, score_bytes
from odyssey_kit.errors import DataError


@pytest.mark.parametrize("packed", [False, True])
def test_a_score_by_hand(packed):
    xml = score(FIRST, SECOND)
    got = read_score(mxl(xml) if packed else xml, "x.mxl" if packed else "x.xml")
    assert got.parts == ("A", "B")
    assert (got.fifths, got.mode) == (-2, "minor")
    half = Fraction(1, 2)
    assert got.notes == (
        Note(Fraction(0), Fraction(1), 60),
        Note(Fraction(0), Fraction(1), 64),
        Note(Fraction(3, 2), half, 58),
        Note(Fraction(2), 3 * half, 78),
        Note(Fraction(0), Fraction(1), 36),
        Note(Fraction(0), Fraction(2), 43),
        # The second measure begins at 2 in both parts, whatever their divisions.
        Note(Fraction(3), Fraction(1), 50),
    )
    assert got.length == 4


def measured(inside: str) -> bytes:
    return score(f"<measure>{attributes(1)}{inside}</measure>")


@pytest.mark.parametrize(
    ("xml", "reason"),
    [
        (b"", "not well-formed XML"),
        (b"<score-partwise>", "not well-formed XML"),
        (b"\x00\x01", "not well-formed XML"),
        (b'<?xml version="1.0" encoding="no-such"?><a/>', "not well-formed XML"),
        (b"<score-timewise/>", "expected 'score-partwise'"),
        (b"<a>" * 65, "nest deeper than 64"),
        (b" " * 16_000_001, "expected at most 16,000,000"),
        (measured(note("H4", 1)), "step is 'H'"),
        (measured(note("C4", 1).replace("<octave>4", "<octave>99")), "octave is '99'"),
        (measured(note("C4", 1).replace("<octave>4", "<octave>four")), "octave is 'four'"),
        (measured(note("C4", -1)), "duration is '-1'"),
        (measured(note("C4", 10**11)), "duration is '100000000000'"),
        (measured("<note><rest/></note>"), "duration is ''"),
        (measured(note("C4", 10**6)), "expected at most 50,000"),
        (measured("<attributes><divisions>0</divisions></attributes>"), "divisions is '0'"),
        (measured("<attributes><divisions>1e9</divisions></attributes>"), "divisions is '1e9'"),
        (measured("<transpose/>"), "transposing instrument"),
        (score(f"<measure>{attributes(1, '<key><fifths>many</fifths></key>')}</measure>"), "fifths is 'many'"),
    ],
)
def test_what_is_no_score_is_refused_with_its_name(xml, reason):
    with pytest.raises(DataError, match=reason) as caught:
        read_score(xml, "some.xml")
    assert str(caught.value).startswith("some.xml: ")


BOMB = "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10 if i else "ha" * 10}">' for i in range(12))


@pytest.mark.parametrize(
    "document",
    [
        f"<!DOCTYPE a [{BOMB}]><a>&a11;</a>",
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
        '<!DOCTYPE a [<!ENTITY % x SYSTEM "http://example.org/x"> %x;]><a/>',
        '<!DOCTYPE a [<!ATTLIST a b CDATA "c">]><a/>',
    ],
)
def test_xml_that_declares_anything_is_refused_before_it_is_expanded(document):
    with pytest.raises(DataError, match="which is refused"):
        parse_xml(document.encode(), "bomb.xml")


def test_the_doctype_of_a_score_is_read_past_and_never_fetched():
    assert parse_xml(f"{DOCTYPE}<a/>".encode(), "x").tag == "a"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"no zip", "not a readable zip archive"),
        (mxl(b"<a/>", container=b"<container/>"), "names no score"),
        (mxl(b"<a/>", container=b'<c><rootfile full-path="../../etc/passwd"/></c>'), "cannot be read"),
        (mxl(b" " * 16_000_001), "expected at most 16,000,000"),
        (mxl(b"<a/>", container=b" " * 100_001), "expected at most 100,000"),
    ],
)
def test_an_archive_that_does_not_hold_together_is_refused(data, reason):
    with pytest.raises(DataError, match=reason):
        score_bytes(data, "x.mxl")


def test_a_member_that_lies_about_its_size_is_not_believed():
    data = bytearray(mxl(b"A" * 5000))
    data = data.replace((5000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    with pytest.raises(DataError, match=r"score\.xml"):
        read_member(open_zip(bytes(data), "x"), "score.xml", limit=100, source="x")


def test_an_encrypted_member_is_refused():
    data = bytearray(mxl(b"<a/>"))
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = -1
        while (start := data.find(signature, start + 1)) >= 0:
            data[start + flags] |= 1
    with pytest.raises(DataError, match="encrypted"):
        score_bytes(bytes(data), "x.mxl")

"""IAM-OnDB: lines written on a whiteboard, the data of the Odyssey's handwriting task, from a registered user's folder.

trainset.txt trains, testset_v.txt and testset_t.txt together are valid, testset_f.txt tests. Inputs are those
of the paper, in the whiteboard's own units and not scaled: Δx, Δy, seconds since the stroke began, and whether
the pen is lifted; every second point. The option ``scaled`` divides both movements by their root mean square
over train. Left out, and counted in a warning: the board a08-551z, as in the paper, and lines without a
transcript or with characters beyond the 81. May import `errors` and the rest of `data`.
"""

from __future__ import annotations

import re
import warnings
import xml.etree.ElementTree as ET
from collections import Counter

import numpy as np

from odyssey_kit.data.alphabet import BLANK, HANDWRITING, encode
from odyssey_kit.data.corpora.describing import described
from odyssey_kit.data.dataset import SequenceDataset
from odyssey_kit.data.folders import Folder
from odyssey_kit.data.guarded_xml import parse_xml
from odyssey_kit.data.manifest import SPLITS
from odyssey_kit.data.opened import Opened
from odyssey_kit.data.prepared import Made, prepared
from odyssey_kit.data.sequences import offsets_of
from odyssey_kit.data.strokes import pen_features
from odyssey_kit.errors import DataError

__all__ = ["SYMBOLS", "load", "parse_ascii", "parse_forms", "parse_strokes"]

SYMBOLS = (BLANK, *HANDWRITING)
SPLIT_FILES = {"train": ("trainset.txt",), "valid": ("testset_v.txt", "testset_t.txt"), "test": ("testset_f.txt",)}
_LEFT_OUT = frozenset({"a08-551z"})
_VERSION = 2
_MAX_XML_BYTES, _MAX_TEXT_BYTES = 4_000_000, 1_000_000
_FORM = re.compile(r"[a-z]\d{2}-\d{3}[a-z]?")

Line = tuple[str, np.ndarray, str]  # name, frames, text


def load(opened: Opened, options: frozenset[str] = frozenset()) -> SequenceDataset:
    """Return the lines, four values a frame, and their characters; read once, then taken from the cache.

    Raises
    ------
    MissingDataError
        If there is no folder; the message says where to register and what it looks like.
    DataError
        If a file is malformed or missing.
    """
    folder, scaled = opened.folder, "scaled" in options
    key = f"{folder.fingerprint} {_VERSION} {scaled}"
    ready = prepared(opened.manifest, key, lambda: _make(opened, folder, scaled))
    if left_out := str(ready.extras["left_out"]):
        warnings.warn(f"{opened.manifest.name}: lines left out: {left_out}", stacklevel=2)
    return described(
        opened.manifest, ready.splits, sha256=ready.sha256, symbols=SYMBOLS, options=options, source=str(folder.root)
    )


def parse_forms(data: bytes, source: str) -> list[str]:
    r"""Return the form ids of a split file, one a line with blanks around it.

    Examples
    --------
    >>> parse_forms(b" a01-000u\n a01-001w \n", "trainset.txt")
    ['a01-000u', 'a01-001w']
    """
    forms = data.decode("latin-1").split()
    for form in forms:
        if not _FORM.fullmatch(form):
            raise DataError(f"{source}: {form[:40]!r} is not the id of a form, such as a01-000u")
    if not forms:
        raise DataError(f"{source}: names no form")
    return forms


def parse_ascii(data: bytes, source: str) -> list[str]:
    r"""Return the lines of text that follow ``CSR:`` in a form's transcript.

    Examples
    --------
    >>> parse_ascii(b"OCR:\n\nA mave\n\nCSR:\n\nA move\nto stop\n", "x.txt")
    ['A move', 'to stop']
    """
    text = data.decode("utf-8", errors="replace").replace("\r\n", "\n")
    before, mark, after = text.partition("CSR:")
    if not mark:
        raise DataError(f"{source}: has no line 'CSR:', begins with {before[:40]!r}")
    return [line.strip() for line in after.strip("\n").split("\n") if line.strip()]


def parse_strokes(data: bytes, source: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the points of a lineStrokes file: positions (points, 2), seconds, and where the pen is lifted after it.

    Raises
    ------
    DataError
        If it is not XML with a StrokeSet of Strokes of Points, or a number cannot be read.

    Examples
    --------
    >>> xml = (b'<WhiteboardCaptureSession><StrokeSet><Stroke><Point x="1" y="2" time="0.5"/>'
    ...        b'<Point x="3" y="2" time="0.6"/></Stroke></StrokeSet></WhiteboardCaptureSession>')
    >>> points, seconds, lifted = parse_strokes(xml, "x.xml")
    >>> points.tolist(), seconds.tolist(), lifted.tolist()
    ([[1.0, 2.0], [3.0, 2.0]], [0.5, 0.6], [False, True])
    """
    root = parse_xml(data, source)
    strokes = [stroke.findall("Point") for stroke in root.iterfind("StrokeSet/Stroke")]
    points = [point for stroke in strokes for point in stroke]
    if not points:
        raise DataError(f"{source}: root element {root.tag[:40]!r} has no StrokeSet with Strokes of Points")
    numbers = np.array([_numbers(point, source) for point in points])
    lifted = np.zeros(len(points), dtype=bool)
    ends = np.cumsum([len(stroke) for stroke in strokes if stroke]) - 1
    lifted[ends] = True
    return numbers[:, :2], numbers[:, 2], lifted


def _numbers(point: ET.Element, source: str) -> list[float]:
    numbers = []
    for name in ("x", "y", "time"):
        text = point.get(name, "")
        if not re.fullmatch(r"-?\d{1,12}(\.\d{1,12})?", text):
            raise DataError(f"{source}: {name} of a point is {text[:20]!r}, expected a number")
        numbers.append(float(text))
    return numbers


def _make(opened: Opened, folder: Folder, scaled: bool) -> Made:
    # Of two files of one name, such as the splits of the closed and the open task, the first counts.
    names = [name for name in reversed(list(folder.files)) if name.endswith((".xml", ".txt"))]
    by_name = {name.rsplit("/", 1)[-1]: name for name in names}
    left_out: Counter[str] = Counter()
    lines = {split: _lines(opened, folder, by_name, split, left_out) for split in SPLITS}
    scale = 1.0
    if scaled:
        scale = float(np.sqrt(np.mean([np.mean(np.square(frames[:, :2])) for _, frames, _ in lines["train"]]))) or 1.0
    arrays = {}
    for split, own in lines.items():
        labels, label_offsets = encode([text for _, _, text in own], SYMBOLS, source=str(folder.root))
        inputs = np.concatenate([frames for _, frames, _ in own])
        inputs[:, :2] /= np.float32(scale)
        arrays[split] = {
            "inputs": inputs,
            "targets": labels,
            "offsets": offsets_of([len(frames) for _, frames, _ in own]),
            "label_offsets": label_offsets,
            "names": np.array([name for name, _, _ in own]),
        }
    words = ", ".join(f"{count} {reason}" for reason, count in left_out.items())
    return Made(arrays, folder.sha256, {"left_out": np.array(words)})


def _lines(opened: Opened, folder: Folder, by_name: dict[str, str], split: str, left_out: Counter[str]) -> list[Line]:
    from tqdm.auto import tqdm

    forms = []
    for name in SPLIT_FILES[split]:
        if name not in by_name:
            raise DataError(f"{folder.root}: has no {name}, which says which forms are in {split}")
        forms += parse_forms(folder.read(by_name[name], limit=_MAX_TEXT_BYTES), folder.shown(by_name[name]))
    found: list[Line] = []
    what = f"{opened.manifest.name}, {split}"
    for form in tqdm(forms, desc=what, unit="form", leave=False, disable=not opened.progress):
        found += _form_lines(folder, by_name, form, left_out)
    if not found:
        raise DataError(f"{folder.root}: no line of {split} can be read")
    return found


def _form_lines(folder: Folder, by_name: dict[str, str], form: str, left_out: Counter[str]) -> list[Line]:
    """Return a form's lines; the number in a stroke file's name is that of its line in the transcript."""
    names = [name for number in range(100) if (name := f"{form}-{number:02d}.xml") in by_name]
    if form in _LEFT_OUT:  # not even read, for it is said that two of its stroke files are broken
        left_out[f"of the board {form}"] += len(names)
        return []
    text_name = by_name.get(f"{form}.txt")
    if text_name is None:
        raise DataError(f"{folder.root}: has no transcript {form}.txt (ascii/{form[:3]}/{form[:7]}/{form}.txt)")
    texts = parse_ascii(folder.read(text_name, limit=_MAX_TEXT_BYTES), folder.shown(text_name))
    if not names:
        raise DataError(f"{folder.root}: has no strokes {form}-01.xml (lineStrokes/{form[:3]}/{form[:7]})")
    found: list[Line] = []
    for name in names:
        number = int(name[-6:-4])
        text = texts[number - 1] if 0 < number <= len(texts) else ""
        if not text or set(text) - set(HANDWRITING):
            left_out["with other characters" if text else "without a transcript"] += 1
            continue
        points = parse_strokes(folder.read(by_name[name], limit=_MAX_XML_BYTES), folder.shown(by_name[name]))
        found.append((f"{form}/{number:02d}", pen_features(*points), text))
    return found

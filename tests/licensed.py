"""Small corpora in the very layout of those that only their licensees have, written from nothing."""

from __future__ import annotations

import io
import wave
from pathlib import Path

import numpy as np


def sphere(samples: np.ndarray, *, rate: int = 16_000, order: str = "01", coding: str = "pcm") -> bytes:
    """Return a NIST SPHERE file."""
    fields = (
        ("sample_count", "i", len(samples)),
        ("sample_n_bytes", "i", 2),
        ("channel_count", "i", 1),
        ("sample_byte_format", "s2", order),
        ("sample_rate", "i", rate),
        ("sample_coding", f"s{len(coding)}", coding),
    )
    lines = "".join(f"{name} -{kind} {value}\n" for name, kind, value in fields)
    head = f"NIST_1A\n   1024\n{lines}end_head\n".encode("ascii").ljust(1024)
    return head + samples.astype("<i2" if order == "01" else ">i2").tobytes()


def riff(samples: np.ndarray, *, rate: int = 16_000, channels: int = 1) -> bytes:
    """Return a RIFF wav file."""
    stream = io.BytesIO()
    with wave.open(stream, "wb") as out:
        out.setparams((channels, 2, rate, 0, "NONE", ""))
        out.writeframes(samples.astype("<i2").tobytes())
    return stream.getvalue()


def tone(samples: int, *, seed: int = 0) -> np.ndarray:
    """Return a noisy tone, int16."""
    rng = np.random.default_rng(seed)
    return (8_000 * np.sin(0.2 * np.arange(samples)) + 500 * rng.standard_normal(samples)).astype(np.int16)


TRAIN_SPEAKERS, TEST_SPEAKERS, VALID_SPEAKERS = ("fcjf0", "mkls0"), ("mdab0",), ("faks0",)


def timit(root: Path, *, upper: bool = True, sound=sphere) -> Path:
    """Write a TIMIT of four speakers with two sentences that count and one SA each; return its folder."""
    people = [("train", name) for name in TRAIN_SPEAKERS]
    people += [("test", name) for name in (*TEST_SPEAKERS, *VALID_SPEAKERS, "mxyz0")]
    for number, (part, speaker) in enumerate(people):
        for sentence in ("sa1", "si1027", "sx37"):
            stem = f"timit/{part}/dr1/{speaker}/{sentence}"
            samples = tone(4_000 + 400 * number, seed=number)
            phones = f"0 1000 h#\n1000 1000 q\n1000 2600 iy\n2600 {len(samples) - 50} kcl\n"
            for ending, data in ((".wav", sound(samples)), (".phn", phones.encode()), (".txt", b"0 9 She had.\n")):
                path = root / (stem + ending).upper() if upper else root / (stem + ending)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
    return root


def strokes_xml(strokes: list[list[tuple[float, float, float]]]) -> bytes:
    """Return a lineStrokes file."""
    body = "".join(
        "<Stroke>" + "".join(f'<Point x="{x}" y="{y}" time="{t}"/>' for x, y, t in stroke) + "</Stroke>"
        for stroke in strokes
    )
    head = (
        '<?xml version="1.0" encoding="ISO-8859-1"?>\n<WhiteboardCaptureSession>\n<WhiteboardDescription>'
        '<SensorLocation corner="top_left"/><DiagonallyOppositeCoords x="6512" y="1376"/>'
        '<VerticallyOppositeCoords x="966" y="1376"/><HorizontallyOppositeCoords x="6512" y="787"/>'
        "</WhiteboardDescription>\n"
    )
    return f"{head}<StrokeSet>{body}</StrokeSet>\n</WhiteboardCaptureSession>\n".encode("ascii")


def a_line(points: int, *, seed: int = 0) -> bytes:
    """Return a lineStrokes file of two strokes of so many points each."""
    rng = np.random.default_rng(seed)
    steps = rng.integers(-9, 10, size=(2, points, 2)).cumsum(axis=1) + 1000
    return strokes_xml(
        [[(int(x), int(y), round(5.0 + stroke + 0.01 * i, 2)) for i, (x, y) in enumerate(way)]
         for stroke, way in enumerate(steps)]
    )  # fmt: skip


FORMS = {
    "trainset.txt": {"a01-000u": ["A MOVE to stop", "Mr. Gaitskell"], "a08-551z": ["%% %", "%%%%"]},
    "testset_v.txt": {"b01-010z": ["from nominating"]},
    "testset_t.txt": {"b02-020x": ["any more", "Labour (life) [Peers]"]},
    "testset_f.txt": {"c03-030": ["is to be made?"]},
}


def iam_ondb(root: Path) -> Path:
    """Write an IAM-OnDB of five forms; return its folder."""
    base = root / "iam-ondb"
    for split, forms in FORMS.items():
        base.mkdir(parents=True, exist_ok=True)
        (base / split).write_text("".join(f" {form} \n" for form in forms), encoding="ascii")
        for form, lines in forms.items():
            ascii_folder = base / "ascii" / form[:3] / form[:7]
            ascii_folder.mkdir(parents=True, exist_ok=True)
            text = "\n".join(lines)
            (ascii_folder / f"{form}.txt").write_text(f"OCR:\n\n{text}\n\nCSR:\n\n{text}\n", encoding="ascii")
            for number in range(1, len(lines) + 1):
                path = base / "lineStrokes" / form[:3] / form[:7] / f"{form}-{number:02d}.xml"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(a_line(30 + number, seed=number))
    return root


def png(grey: np.ndarray, mode: str = "L") -> bytes:
    """Return an image of grey levels as PNG, in one of the modes that the corpora have."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(grey.astype(np.uint8)).convert(mode).save(stream, "PNG")
    return stream.getvalue()


def print_of(width: int, height: int = 40, *, slope: float = 0.0) -> np.ndarray:
    """Return grey levels of a made-up line of print: dark bars on white paper, which may rise or fall."""
    grey = np.full((height, width), 255)
    for column in range(width):
        if column % 8 < 5:
            middle = height / 2 + slope * (column - width / 2)
            grey[max(0, int(middle - 7)) : int(middle + 7), column] = 0
    return grey


def uw3(root: Path) -> Path:
    """Write a UW3 of twelve lines, four of them to test; return its folder."""
    for number in range(12):
        folder = root / "uw3" / ("test" if number >= 8 else "train")
        folder.mkdir(parents=True, exist_ok=True)
        mode = ("RGBA", "L", "1")[number % 3]
        (folder / f"01{number:04d}.bin.png").write_bytes(png(print_of(100 + 10 * number), mode))
        (folder / f"01{number:04d}.gt.txt").write_text(f"line number {number}\n", encoding="utf-8")
    return root


def hdf5(path: Path, images: list[np.ndarray], texts: list[str], *, blank: bool = False) -> Path:
    """Write text lines as clstm (reals, blank in the codec) or Calamari (bytes) have them; return the path."""
    import h5py

    characters = sorted(set("".join(texts)))
    codec = [0, *map(ord, characters)] if blank else list(map(ord, characters))
    with h5py.File(path, "w") as file:
        kind = h5py.vlen_dtype(images[0].dtype)
        rows = file.create_dataset("images", (len(images),), dtype=kind)
        labels = file.create_dataset("transcripts", (len(images),), dtype=h5py.vlen_dtype(np.int32))
        for index, (image, text) in enumerate(zip(images, texts, strict=True)):
            rows[index] = image.reshape(-1)
            labels[index] = np.array([codec.index(ord(character)) for character in text], dtype=np.int32)
        file["images_dims"] = np.array([image.shape for image in images], dtype=np.int32)
        file["codec"] = np.array(codec, dtype=np.int32)
    return path

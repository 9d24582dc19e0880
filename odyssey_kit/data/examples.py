"""One example of a data set, as what it is: notes, an image, a pen's way, a sound; small enough to be kept here.

The book is built without data, so its pictures are drawn from examples in `data_manifests/examples/`, each
with its origin and hash, or from corpora that are generated. May import `errors` and the rest of `data`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from odyssey_kit.data.catalogue import load_dataset
from odyssey_kit.data.corpora import synthetic, synthetic_speech
from odyssey_kit.data.dataset import SequenceDataset
from odyssey_kit.data.manifest import Manifest, manifest_folder, read_manifest
from odyssey_kit.data.notes import KEYS, LOWEST_NOTE
from odyssey_kit.errors import DataError, UsageError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Example", "example_path", "load_example", "make_example"]

# What is drawn of a corpus, by the papers' corpus that it is or stands for.
KINDS = {"jsb-chorales": "notes", "mnist": "image", "uw3": "image", "iam-ondb": "pen", "timit": "sound"}
_MAX_BYTES = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Example:
    """One sequence of a data set.

    Parameters
    ----------
    dataset, split : str
        Where it is from.
    index : int
        Its number in the split.
    kind : {"notes", "image", "pen", "sound"}
        What its frames are.
    frames : list of lists of numbers
        Notes that sound in each step; pixels of each column from 0 to 255; Δx, Δy, seconds and pen lifted of each
        point; or the logarithms of the energies in bands of each frame.
    text : str
        What is to be told of it, as a whole.
    labels : list of str
        The same for every frame, where it is told frame by frame.
    origin, licence, sha256 : str
        What it was taken from, under which terms, and the hash of those files.
    """

    dataset: str
    split: str
    index: int
    kind: str
    frames: list[list[float]]
    text: str = ""
    labels: list[str] = field(default_factory=list)
    origin: str = ""
    licence: str = ""
    sha256: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS.values() or not self.frames:
            raise UsageError(f"example of {self.dataset}: kind is {self.kind!r} with {len(self.frames)} frames")

    def to_frame(self) -> pd.DataFrame:
        """Return the example as a tidy frame.

        Returns
        -------
        pandas.DataFrame
            Of notes: step and note (MIDI), a row a sounding note. Of an image: step (column), row and ink (0 to 1).
            Of a pen: step, stroke, x, y (up), seconds and lifted. Of a sound: step, band, energy and label.
        """
        return _FRAMES[self.kind](self)

    def to_json(self) -> str:
        """Return the example as JSON, a frame a line."""
        head = {name: value for name, value in asdict(self).items() if name != "frames"}
        body = ",\n".join(json.dumps(row, separators=(",", ":")) for row in self.frames)
        return f'{json.dumps(head, indent=1, ensure_ascii=False)[:-2]},\n "frames": [\n{body}\n]}}\n'

    def __repr__(self) -> str:
        told = f", {self.text!r}" if self.text else ""
        return f"Example({self.dataset!r}, {self.split} {self.index}, {self.kind}, {len(self.frames)} frames{told})"


def example_path(name: str) -> Path:
    """Return where the kept example of a data set is, or would be."""
    return manifest_folder() / "examples" / f"{name}.json"


def load_example(name: str, *, index: int | None = None, data_dir: str | Path | None = None) -> Example:
    """Return an example of a data set: the kept one, else one made of the data.

    Parameters
    ----------
    name : str
        See `list_datasets`.
    index : int, optional
        Which sequence of train, taken from the data; by default the kept one, or the first.
    data_dir : path, optional
        A folder to look into before ``$ODYSSEY_DATA`` and the cache.

    Raises
    ------
    DataError
        If the kept example is damaged.
    UsageError, MissingDataError
        As for `load_dataset`.

    Examples
    --------
    >>> import odyssey_kit as ok
    >>> ok.load_example("mnist")
    Example('mnist', train 0, image, 28 frames, '5')
    """
    path = example_path(read_manifest(name).name)
    if index is not None or not path.is_file():
        return make_example(name, index=index or 0, data_dir=data_dir)
    try:
        with path.open("rb") as stream:
            return Example(**json.loads(stream.read(_MAX_BYTES)))
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{path}: not an example ({error}); restore the file from the repository") from error


def make_example(name: str, *, split: str = "train", index: int = 0, data_dir: str | Path | None = None) -> Example:
    """Return one sequence of a data set as an example.

    Parameters
    ----------
    name, data_dir
        As for `load_dataset`.
    split, index
        Which sequence.
    """
    data = load_dataset(name, data_dir=data_dir)
    if split not in data.splits or not 0 <= index < len(data.splits[split]):
        raise UsageError(f"{name}: has no sequence {index} in {split!r}, expected a number in train, valid or test")
    manifest = read_manifest(data.name.partition("[")[0])
    kind = KINDS[manifest.stand_in_for or manifest.name]
    inputs, targets = data.splits[split][index]
    labels = [data.symbols[label] for label in targets] if data.task == "frame-wise" else []
    frames = _MAKERS[kind](data, split, index, inputs, targets)
    return Example(
        dataset=data.name,
        split=split,
        index=index,
        kind=kind,
        frames=frames,
        text=data.text(targets) if data.task in ("classification", "transcription") else "",
        labels=labels,
        origin=_origin(manifest),
        licence=manifest.licence,
        sha256=data.sha256,
    )


def _origin(manifest: Manifest) -> str:
    packages = [source.requirement for file in manifest.files for source in file.sources if source.requirement]
    if packages:
        return f"the package {packages[0]}"
    return "generated" if manifest.generated else manifest.title


# ---- from inputs to what is drawn -----------------------------------------------------------


def _notes(data: SequenceDataset, split: str, index: int, inputs: np.ndarray, targets: np.ndarray) -> list[Any]:
    lowest = LOWEST_NOTE if data.input_size == KEYS else 48
    whole = np.concatenate([inputs, targets[-1:]])
    return [(np.flatnonzero(frame) + lowest).tolist() for frame in whole]


def _pixels(data: SequenceDataset, split: str, index: int, inputs: np.ndarray, targets: np.ndarray) -> list[Any]:
    return np.round(255 * inputs).astype(int).tolist()


def _points(data: SequenceDataset, split: str, index: int, inputs: np.ndarray, targets: np.ndarray) -> list[Any]:
    return [[round(float(value), 3) for value in frame] for frame in inputs]


def _bands(data: SequenceDataset, split: str, index: int, inputs: np.ndarray, targets: np.ndarray) -> list[Any]:
    """Return log energies: of generated speech as they are, of other speech as far as its scaled cepstra tell them."""
    if data.name == "synthetic-speech":
        streams = {name: (count, rng) for name, count, rng in synthetic.streams(data.name)}
        sound = synthetic_speech.utterances(streams[split][1], streams[split][0], split)[index].samples
        energies = synthetic_speech.RECIPE.log_bands(sound)
    else:
        from scipy.fft import idct

        energies = np.asarray(idct(inputs[:, :13], n=40, norm="ortho", axis=1))
    return np.round(energies, 2).tolist()


_MAKERS = {"notes": _notes, "image": _pixels, "pen": _points, "sound": _bands}


def _frame(columns: Mapping[str, Any]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(columns)


def _notes_frame(example: Example) -> pd.DataFrame:
    pairs = [(step, int(note)) for step, notes in enumerate(example.frames) for note in notes]
    return _frame({"step": [step for step, _ in pairs], "note": [note for _, note in pairs]})


def _image_frame(example: Example) -> pd.DataFrame:
    ink = np.array(example.frames) / 255
    steps, rows = np.indices(ink.shape)
    return _frame({"step": steps.ravel(), "row": rows.ravel(), "ink": ink.ravel().round(3)})


def _pen_frame(example: Example) -> pd.DataFrame:
    values = np.array(example.frames)
    x, y = values[:, :2].cumsum(axis=0).T
    lifted = values[:, 3] > 0
    stroke = np.concatenate([[0], np.cumsum(lifted)[:-1]])
    up = 1 if example.dataset.startswith("synthetic") else -1  # tablets count downwards
    columns = {"dx": values[:, 0], "dy": values[:, 1], "x": x.round(3), "y": (up * y).round(3), "seconds": values[:, 2]}
    return _frame({"step": np.arange(len(values)), "stroke": stroke, **columns, "lifted": lifted})


def _sound_frame(example: Example) -> pd.DataFrame:
    energy = np.array(example.frames)
    steps, bands = np.indices(energy.shape)
    labels = np.array(example.labels)[steps.ravel()]
    return _frame({"step": steps.ravel(), "band": bands.ravel(), "energy": energy.ravel(), "label": labels})


_FRAMES = {"notes": _notes_frame, "image": _image_frame, "pen": _pen_frame, "sound": _sound_frame}

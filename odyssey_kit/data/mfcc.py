"""Features of speech: mel-frequency cepstral coefficients with first and second differences, as the Odyssey took them.

The defaults are those of the first author's engine, which the study was most probably run on; where the paper's
text differs the notes say so. May import `errors` only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from odyssey_kit.errors import UsageError

__all__ = ["MFCC", "label_frames", "standardise"]

_CHUNK = 2048  # frames transformed at once, so that long sounds need no more room


@dataclass(frozen=True, kw_only=True)
class MFCC:
    """A recipe for features, called with samples.

    Parameters
    ----------
    sample_rate : int
        Samples a second.
    window, hop : float
        Length of a frame and distance between two, in seconds.
    preemphasis : float
        The factor α of x[n] - α x[n - 1]; 0 for none.
    preemphasis_first : bool
        Emphasise a frame before it is windowed, as most programs do; the Odyssey's engine did it afterwards.
    fft_size : int
        Points of the transform; frames are filled up with zeros.
    bands : int
        Triangular bands, evenly spaced in mel from 0 to half the sample rate.
    coefficients : int
        Cepstral coefficients kept, the zeroth among them.
    floor : float
        Least energy of a band before the logarithm.

    Raises
    ------
    UsageError
        If a number has no meaning.

    Notes
    -----
    A frame is multiplied by a Hamming window and emphasised; the power spectrum is summed in bands with
    mel(f) = 1127 ln(1 + f / 700); the logarithms are transformed by an orthonormal cosine transform (DCT-II). Δ and ΔΔ
    are central differences in time, one-sided at the ends. There is no padding: T samples give
    1 + (T - window) // hop frames. The paper says "12 MFCC and energy", the engine took 13 coefficients with the
    zeroth, which is the mean of the log energies up to a factor.

    References
    ----------
    Greff et al. (2017), section IV-A; the engine pylstm (2012-2015), MFCC.py. The filter bank is that of Kaldi and
    HTK, which the tests compare with kaldi-native-fbank.

    Examples
    --------
    >>> MFCC()(np.sin(0.3 * np.arange(16_000))).shape
    (98, 39)
    """

    sample_rate: int = 16_000
    window: float = 0.025
    hop: float = 0.010
    preemphasis: float = 0.97
    preemphasis_first: bool = False
    fft_size: int = 2048
    bands: int = 40
    coefficients: int = 13
    floor: float = 1e-100

    def __post_init__(self) -> None:
        least = {"sample_rate": 1, "window_samples": 2, "hop_samples": 1, "bands": 1, "coefficients": 1}
        for name, bound in least.items():
            if not getattr(self, name) >= bound:
                raise UsageError(f"MFCC: {name} is {getattr(self, name)}, expected at least {bound}")
        if self.fft_size < self.window_samples:
            raise UsageError(
                f"MFCC: fft_size is {self.fft_size}, expected at least the {self.window_samples} of a frame"
            )
        if self.coefficients > self.bands:
            raise UsageError(f"MFCC: {self.coefficients} coefficients of {self.bands} bands, expected at most as many")

    @property
    def window_samples(self) -> int:
        """Samples of a frame."""
        return round(self.window * self.sample_rate)

    @property
    def hop_samples(self) -> int:
        """Samples from one frame to the next."""
        return round(self.hop * self.sample_rate)

    @cached_property
    def filters(self) -> np.ndarray:
        """Weight of each point of the spectrum in each band, shape (fft_size // 2 + 1, bands)."""

        def mel(hertz: np.ndarray | float) -> np.ndarray:
            return 1127.0 * np.log1p(np.asarray(hertz) / 700.0)

        points = mel(np.arange(self.fft_size // 2 + 1) * self.sample_rate / self.fft_size)[:, None]
        edges = np.linspace(0.0, float(mel(self.sample_rate / 2)), self.bands + 2)
        low, centre, high = edges[:-2], edges[1:-1], edges[2:]
        rising, falling = (points - low) / (centre - low), (high - points) / (high - centre)
        return np.maximum(0.0, np.minimum(rising, falling))

    @cached_property
    def _sparse(self) -> Any:
        from scipy.sparse import csr_array

        # Two bands at most meet at a point; and what calls no BLAS is as fast on a busy machine.
        return csr_array(self.filters.T)

    def frames(self, samples: int) -> int:
        """Return how many frames so many samples give.

        Examples
        --------
        >>> MFCC().frames(399), MFCC().frames(400), MFCC().frames(560)
        (0, 1, 2)
        """
        return max(0, 1 + (samples - self.window_samples) // self.hop_samples)

    def log_bands(self, samples: np.ndarray) -> np.ndarray:
        """Return the logarithm of each band's energy, shape (frames, bands), float64."""
        sound = np.asarray(samples, dtype=np.float64)
        if sound.ndim != 1 or self.frames(len(sound)) == 0:
            raise UsageError(
                f"MFCC: samples of shape {sound.shape}, expected one channel of at least {self.window_samples}"
            )
        windows = np.lib.stride_tricks.sliding_window_view(sound, self.window_samples)[:: self.hop_samples]
        return np.concatenate([self._log_bands(windows[i : i + _CHUNK]) for i in range(0, len(windows), _CHUNK)])

    def _log_bands(self, windows: np.ndarray) -> np.ndarray:
        hamming = np.hamming(self.window_samples)
        frames = self._emphasised(windows) * hamming if self.preemphasis_first else self._emphasised(windows * hamming)
        power = np.abs(np.fft.rfft(frames, self.fft_size)) ** 2
        return np.log(np.maximum((self._sparse @ power.T).T, self.floor))

    def _emphasised(self, frames: np.ndarray) -> np.ndarray:
        emphasised = frames.copy()
        emphasised[:, 1:] -= self.preemphasis * frames[:, :-1]
        if self.preemphasis_first:  # as if the sample before the frame were its first one again
            emphasised[:, 0] -= self.preemphasis * frames[:, 0]
        return emphasised

    def cepstra(self, samples: np.ndarray) -> np.ndarray:
        """Return the coefficients alone, shape (frames, coefficients), float64."""
        from scipy.fft import dct  # here, so that what computes no features loads without it

        return np.asarray(dct(self.log_bands(samples), type=2, norm="ortho", axis=1))[:, : self.coefficients]

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        """Return coefficients, Δ and ΔΔ, shape (frames, 3 * coefficients), float32.

        Raises
        ------
        UsageError
            If there are too few samples for one frame.
        """
        cepstra = self.cepstra(samples)
        first = np.gradient(cepstra, axis=0) if len(cepstra) > 1 else np.zeros_like(cepstra)
        second = np.gradient(first, axis=0) if len(cepstra) > 1 else np.zeros_like(cepstra)
        return np.concatenate([cepstra, first, second], axis=1).astype(np.float32)


def label_frames(segments: Sequence[tuple[int, int, int]], *, frames: int, window: int, hop: int) -> np.ndarray:
    """Return the label of each frame: that of the segment which covers most of it.

    Parameters
    ----------
    segments : sequence of (start, end, label)
        In samples, end excluded.
    frames, window, hop : int
        How many frames there are, how long each is and how far apart, in samples.

    Returns
    -------
    numpy.ndarray, shape (frames,), int64
        The earlier segment wins a draw; -1 where none covers a frame at all.

    Examples
    --------
    >>> label_frames([(0, 7, 4), (7, 20, 9)], frames=3, window=8, hop=4)
    array([4, 9, 9])
    """
    starts = hop * np.arange(frames)
    labels = np.full(frames, -1, dtype=np.int64)
    most = np.zeros(frames, dtype=np.int64)
    for start, end, label in segments:
        covered = np.minimum(end, starts + window) - np.maximum(start, starts)
        better = covered > most
        labels[better], most[better] = label, covered[better]
    return labels


def standardise(train: np.ndarray, others: Iterable[np.ndarray]) -> list[np.ndarray]:
    """Return train and others with mean 0 and variance 1 a column, by the statistics of train alone.

    The Odyssey's engine took each part's own statistics, which lets a test set know itself.
    """
    mean, std = train.mean(axis=0, dtype=np.float64), train.std(axis=0, dtype=np.float64)
    std[std == 0] = 1.0
    return [((array - mean) / std).astype(np.float32) for array in (train, *others)]

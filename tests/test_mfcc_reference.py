"""Our features are Kaldi's where the settings are the same, and differ where the Odyssey's engine does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from odyssey_kit.data.mfcc import MFCC, label_frames, standardise
from odyssey_kit.errors import UsageError

# Kaldi emphasises before it windows and rounds the transform up to the next power of two.
LIKE_KALDI = MFCC(preemphasis_first=True, fft_size=512)


def chirp(samples: int = 16_000) -> np.ndarray:
    time = np.arange(samples) / 16_000
    return 8_000 * np.sin(2 * np.pi * (100 + 3_500 * time) * time)


def kaldi(sound: np.ndarray, *, what: str = "mfcc", **changes) -> np.ndarray:
    """Return kaldi-native-fbank's features with the options that match ours."""
    knf = pytest.importorskip("kaldi_native_fbank", reason="the extra [dev] is not installed")
    options = knf.MfccOptions() if what == "mfcc" else knf.FbankOptions()
    frame, bands = options.frame_opts, options.mel_opts
    frame.dither, frame.remove_dc_offset, frame.window_type, frame.preemph_coeff = 0.0, False, "hamming", 0.97
    frame.snip_edges, frame.samp_freq = True, 16_000.0
    bands.num_bins, bands.low_freq, bands.high_freq = 40, 0.0, 0.0
    if what == "mfcc":
        options.num_ceps, options.use_energy, options.cepstral_lifter = 13, False, 0.0
    else:
        options.use_energy = False
    for name, value in changes.items():
        setattr(frame, name, value)
    online = knf.OnlineMfcc(options) if what == "mfcc" else knf.OnlineFbank(options)
    online.accept_waveform(16_000, sound.astype(np.float32).tolist())
    online.input_finished()
    return np.array([online.get_frame(i) for i in range(online.num_frames_ready)])


def test_bands_and_cepstra_are_kaldis():
    sound = chirp()
    np.testing.assert_allclose(LIKE_KALDI.log_bands(sound), kaldi(sound, what="fbank"), atol=2e-3)
    np.testing.assert_allclose(LIKE_KALDI.cepstra(sound), kaldi(sound), atol=5e-3)


def test_there_are_as_many_frames_as_kaldi_has():
    for samples in (400, 559, 560, 12_345):
        assert len(LIKE_KALDI.cepstra(chirp(samples))) == len(kaldi(chirp(samples))) == MFCC().frames(samples)


def test_emphasis_after_the_window_is_another_thing():
    sound = chirp()
    ours, theirs = replace(LIKE_KALDI, preemphasis_first=False).cepstra(sound), kaldi(sound)
    assert np.abs(ours - theirs).max() > 0.5
    # It is a difference of the order of the window's slope: the features go the same way all the same.
    assert np.corrcoef(ours[:, 1], theirs[:, 1])[0, 1] > 0.9


def test_a_longer_transform_is_another_thing():
    sound = chirp()
    assert np.abs(replace(LIKE_KALDI, fft_size=2048).cepstra(sound) - kaldi(sound)).max() > 0.1


def test_kaldis_own_defaults_are_other_things():
    sound = chirp() + 300.0
    assert np.abs(LIKE_KALDI.cepstra(sound) - kaldi(sound, remove_dc_offset=True)).max() > 0.5
    assert np.abs(LIKE_KALDI.cepstra(sound) - kaldi(sound, window_type="povey")).max() > 0.1


def test_thirty_nine_features_with_central_differences():
    features = MFCC()(chirp())
    assert features.shape == (98, 39)
    assert features.dtype == np.float32
    cepstra = MFCC().cepstra(chirp())
    np.testing.assert_allclose(features[:, :13], cepstra, rtol=1e-6)
    np.testing.assert_allclose(features[5, 13:26], (cepstra[6] - cepstra[4]) / 2, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(features[0, 13:26], cepstra[1] - cepstra[0], rtol=1e-4, atol=1e-5)
    first = np.gradient(cepstra, axis=0)
    np.testing.assert_allclose(features[7, 26:], (first[8] - first[6]) / 2, rtol=1e-4, atol=1e-5)


def test_silence_is_floored_and_one_frame_has_no_differences():
    features = MFCC()(np.zeros(400))
    assert np.isfinite(features).all()
    assert features[0, 0] == pytest.approx(np.sqrt(40) * np.log(1e-100))
    assert not features[:, 13:].any()


def test_a_louder_sound_moves_the_zeroth_coefficient_alone():
    quiet, loud = MFCC().cepstra(chirp()), MFCC().cepstra(2 * chirp())
    np.testing.assert_allclose(loud[:, 1:], quiet[:, 1:], atol=1e-9)
    np.testing.assert_allclose(loud[:, 0] - quiet[:, 0], np.sqrt(40) * np.log(4), rtol=1e-9)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"sample_rate": 0}, "sample_rate is 0"),
        ({"hop": 0.0}, "hop_samples is 0"),
        ({"fft_size": 256}, "fft_size is 256, expected at least the 400"),
        ({"coefficients": 41}, "41 coefficients of 40 bands"),
    ],
)
def test_settings_without_a_meaning_are_refused(change, reason):
    with pytest.raises(UsageError, match=reason):
        MFCC(**change)


def test_too_short_a_sound_is_refused():
    with pytest.raises(UsageError, match=r"samples of shape \(399,\), expected one channel of at least 400"):
        MFCC()(np.zeros(399))


@settings(max_examples=50, deadline=None)
@given(cuts=st.lists(st.integers(1, 400), min_size=1, max_size=8), window=st.integers(1, 80), hop=st.integers(1, 40))
def test_every_frame_has_the_label_that_covers_most_of_it(cuts, window, hop):
    ends = np.cumsum(cuts)
    segments = [(int(end - size), int(end), index) for index, (end, size) in enumerate(zip(ends, cuts, strict=True))]
    frames = max(0, 1 + (int(ends[-1]) - window) // hop)
    samples = np.repeat(np.arange(len(cuts)), cuts)
    labels = label_frames(segments, frames=frames, window=window, hop=hop)
    for frame, label in enumerate(labels):
        counts = np.bincount(samples[frame * hop : frame * hop + window])
        assert counts[label] == counts.max()
        assert label == counts.argmax()


def test_statistics_are_those_of_train_alone():
    rng = np.random.default_rng(0)
    train, test = rng.normal(3, 2, (500, 4)), rng.normal(9, 1, (50, 4))
    train[:, 3] = 7.0  # a feature that never changes
    scaled, other = standardise(train, [test])
    np.testing.assert_allclose(scaled[:, :3].mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(scaled[:, :3].std(axis=0), 1, atol=1e-6)
    assert not scaled[:, 3].any()
    np.testing.assert_allclose(other[:, :3], (test[:, :3] - train[:, :3].mean(0)) / train[:, :3].std(0), rtol=1e-5)

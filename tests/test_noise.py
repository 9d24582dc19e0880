"""Input noise: the published generator, the normal law, and a pure function of key, epoch and position."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import odyssey_kit as ok
from odyssey_kit.data import SequenceDataset, Split
from odyssey_kit.engine.noise import add_noise, philox, standard_normal_pair
from odyssey_kit.training.course import Course, Streams

KEY = np.uint64(0x0123456789ABCDEF)


def noise(count, *, key=KEY, epoch=1):
    drawn = np.empty(count, np.float32)
    add_noise(np.zeros(count, np.float32), np.float32(1), key, np.uint64(epoch), drawn)
    return drawn


@pytest.mark.parametrize(
    ("word", "expected"),  # the known answers of the generator's authors, for counters and keys of that word
    [
        (0x00000000, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        (0xFFFFFFFF, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    ],
)
def test_the_known_answers_of_philox(word, expected):
    assert philox(*[np.uint64(word)] * 6) == expected


def test_two_words_become_two_normal_numbers():
    words = np.random.default_rng(0).integers(-(2**31), 2**31, (2, 20_000)).astype(np.int32)
    words[:, :4] = [[0, -1, 2**31 - 1, -(2**31)], [0, -(2**31), 2**31 - 1, 2**30]]
    got = np.array([standard_normal_pair(a, b) for a, b in words.T]).T
    # Box and Muller (1958) in double precision; the first word's sign is not used.
    uniform = ((words[0] & (2**31 - 1)) + 0.5) / 2**31
    radius, angle = np.sqrt(-2 * np.log(uniform)), np.pi * words[1] / 2**31
    np.testing.assert_allclose(got, radius * np.array([np.sin(angle), np.cos(angle)]), atol=3e-5)
    assert np.abs(got[:, 0]).max() == pytest.approx(6.66, abs=0.01)  # the largest there is


def test_it_is_standard_normal_and_uncorrelated():
    drawn = noise(400_000).astype(float)
    assert stats.kstest(drawn, "norm").pvalue > 1e-3
    assert stats.normaltest(drawn).pvalue > 1e-3
    # Neighbours, the four numbers of one counter (1,024 apart), and the next epoch.
    for other in (np.roll(drawn, 1), np.roll(drawn, 1024), noise(400_000, epoch=2)):
        assert abs(np.corrcoef(drawn, other)[0, 1]) < 4.5 / np.sqrt(len(drawn))


@pytest.mark.parametrize("count", [1, 5, 4095, 4096, 4097, 9000])
def test_it_hangs_on_key_epoch_and_position_only(count):
    drawn = noise(count)
    np.testing.assert_array_equal(drawn, noise(10_000)[:count])
    assert np.isfinite(drawn).all()
    for other in (
        noise(count, epoch=2),
        noise(count, key=KEY + np.uint64(1)),
        noise(count, key=KEY + np.uint64(2**32)),
    ):
        assert (drawn != other).all()


def test_it_is_added_and_scaled():
    inputs, noisy = np.arange(5000, dtype=np.float64), np.empty(5000)
    add_noise(inputs, np.float32(0.3), KEY, np.uint64(1), noisy)
    np.testing.assert_array_equal(noisy, inputs + np.float64(np.float32(0.3) * noise(5000)))


def test_a_trial_draws_its_noise_from_its_own_key():
    frames = np.zeros((6, 5), np.float32)
    split = Split.from_list([(frames, frames)])
    sets = dict.fromkeys(("train", "valid", "test"), split)
    music = SequenceDataset(name="quiet", task="next-step", **sets, input_size=5, output_size=5, sha256="0" * 64)

    def course(std, seed="1"):
        params = {"hidden_size": 2, "learning_rate": 0.1, "momentum": 0.0, "input_noise_std": std}
        return Course(
            ok.TrialSpec(study="s", task="quiet", variant=ok.variant("V"), index=0, params=params, seed=seed), music
        )

    drawn = course(0.5).noisy(frames).copy()
    np.testing.assert_array_equal(drawn, course(0.5).noisy(frames))
    assert (drawn != course(0.5, seed="2").noisy(frames)).all()
    assert course(0.0).noisy(frames) is frames
    expected = noise(frames.size, key=Streams.from_seed("1").noise_key).reshape(frames.shape)
    np.testing.assert_array_equal(drawn, np.float32(0.5) * expected)

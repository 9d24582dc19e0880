"""How long data sets take to load, the first time and after it, and speech features beside Kaldi's.

    ODYSSEY_DATA=... python benchmarks/data.py [--json FILE]

Loading is timed inside a fresh interpreter, after `import odyssey_kit.data`, up to the last split's inputs in
memory; "first" with an empty cache. Data sets that are not here are left out, and named.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from statistics import median

import numpy as np
from machine import Row, as_markdown, as_table, cpu_seconds, describe  # first: it sets the number of threads

import odyssey_kit as ok
from odyssey_kit.data.mfcc import MFCC

GOALS = {"mnist": (2.0, "after"), "jsb-chorales": (0.2, "after"), "spoken-digits": (30.0, "first")}
NAMES = ("jsb-chorales", "mnist", "spoken-digits", "unipen-lines", "archiscribe-lines", "synthetic-lines")
_LOAD = """
import sys, time
import odyssey_kit.data as data
start, used = time.perf_counter(), time.process_time()
loaded = data.load_dataset(sys.argv[1])
for split in loaded.splits.values():
    split.inputs
print(time.perf_counter() - start, time.process_time() - used)
"""


def loading(name: str, rounds: int) -> Row:
    """Time a data set with an empty cache, then with a full one."""
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "ODYSSEY_CACHE": cache}

        def once() -> list[float]:
            command = [sys.executable, "-c", _LOAD, name]
            done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
            return list(map(float, done.stdout.split()))

        first, after = once(), [once() for _ in range(rounds)]
    seconds, when = GOALS.get(name, (None, ""))
    cpu = {"first": first[1], "after": median(used for _, used in after)}
    return Row(
        workload=f"load {name}, all inputs in memory, CPU time",
        ours=f"first {cpu['first']:.2f} s, after it {cpu['after']:.2f} s "
        f"(wall {first[0]:.2f} and {median(wall for wall, _ in after):.2f} s)",
        goal=f"{when} ≤ {seconds:g} s" if seconds else "",
        met=cpu[when] <= seconds if seconds else None,
        measured={"first": first, "after": after},
    )


def features(rounds: int) -> Row:
    """Time 13 cepstra of a minute of sound beside kaldi-native-fbank, with the same settings."""
    import kaldi_native_fbank as knf

    sound = (1_000 * np.random.default_rng(0).standard_normal(16_000 * 60)).astype(np.float32)
    recipe = MFCC(preemphasis_first=True, fft_size=512)
    options = knf.MfccOptions()
    frame, bands = options.frame_opts, options.mel_opts
    frame.dither, frame.remove_dc_offset, frame.window_type, frame.preemph_coeff = 0.0, False, "hamming", 0.97
    bands.num_bins, bands.low_freq, options.use_energy, options.cepstral_lifter = 40, 0.0, False, 0.0
    samples = sound.tolist()

    def kaldi() -> None:
        online = knf.OnlineMfcc(options)
        online.accept_waveform(16_000, samples)
        online.input_finished()
        np.array([online.get_frame(index) for index in range(online.num_frames_ready)])

    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(cpu_seconds(lambda: recipe.cepstra(sound)))
        theirs.append(cpu_seconds(kaldi))
    return Row(
        workload="13 cepstra of a minute of speech, 512 points, CPU time",
        ours=f"{60 / median(ours):,.0f} × real time",
        rivals=f"kaldi-native-fbank {60 / median(theirs):,.0f} ×",
        ratio=f"{median(theirs) / median(ours):.2f} ×",
        measured={"ours": ours, "kaldi": theirs},
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    here = ok.list_datasets()["here"]
    rows = [loading(name, arguments.rounds) for name in NAMES if here[name]]
    rows.append(features(arguments.rounds))
    facts = describe()
    print(as_markdown(facts), as_table(rows), sep="\n\n")
    if missing := [name for name in NAMES if not here[name]]:
        print(f"\nnot here, and left out: {', '.join(missing)}")
    if arguments.json:
        arguments.json.write_text(json.dumps({"facts": facts, "rows": list(map(asdict, rows))}, indent=1))


if __name__ == "__main__":
    main()

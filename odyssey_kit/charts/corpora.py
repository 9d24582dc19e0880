"""Figures of the corpora: one sequence each, drawn as what it is, with a slider through its steps.

Each takes a tidy frame, as `ok.load_example(name).to_frame()` returns it.
May import `errors` and the other modules of `charts`.
"""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from odyssey_kit.charts import _frames as frames
from odyssey_kit.charts.palette import BACKGROUND, INK, MUTED, PUBLISHED, tint, variant_colour
from odyssey_kit.charts.theme import COLUMN_WIDTH, HEIGHTS, NARROW_BELOW, narrow
from odyssey_kit.errors import UsageError

__all__ = ["image_slices", "pen_strokes", "piano_roll", "spectrogram"]

NOW, NEXT = variant_colour("NOAF"), variant_colour("NIG")
_NAMES = ("C", "C♯", "D", "E♭", "E", "F", "F♯", "G", "A♭", "A", "B♭", "B")
_TALL = 1.5  # an image that is wider than so many times its height has its slice below it


def piano_roll(frame: pd.DataFrame, *, step: int = 8) -> alt.LayerChart:
    """Draw music as the network reads it: the keys that sound in each step, and the ones that are asked for next.

    Parameters
    ----------
    frame : pandas.DataFrame
        Columns ``step`` and ``note`` (MIDI), a row a sounding note.
    step : int
        Where the slider stands at first.

    Examples
    --------
    >>> import odyssey_kit as ok
    >>> print(ok.charts.piano_roll(ok.load_example("bach-chorales").to_frame()).description)
    40 steps of music on the keys B2 to G5; at step 8 the network hears C4 G4 E5 and is asked for what sounds next.
    """
    table = _checked(frame, "step", "note")
    last = int(table["step"].max())
    table = table.assign(end=table["step"] + 0.92, top=table["note"] + 0.86, name=table["note"].map(note_name))
    words = _chords(table, last)
    slider = _slider("step", min(step, last - 1), last - 1)
    notes = sorted(table["note"].unique())
    ticks = [note for note in range(notes[0] - notes[0] % 12, notes[-1] + 1, 12) if note >= notes[0]]
    names = "{" + ",".join(f"{note}:'{note_name(note)}'" for note in ticks) + "}"
    keys = alt.Axis(values=ticks, labelExpr=f"({names})[datum.value]", title=None)
    y = alt.Y("note:Q", scale=alt.Scale(domain=[notes[0] - 1, notes[-1] + 2], zero=False, nice=False), axis=keys)
    x = alt.X("step:Q", scale=alt.Scale(domain=[0, last + 1], nice=False), title="step, a quarter note each")
    colour = (
        alt.when(f"datum.step === {slider.name}")
        .then(alt.value(NOW.light))
        .when(f"datum.step === {slider.name} + 1")
        .then(alt.value(NEXT.light))
        .otherwise(alt.value(PUBLISHED.light))
    )
    tips = [
        alt.Tooltip("step:Q", title="step"),
        alt.Tooltip("name:N", title="key"),
        alt.Tooltip("note:Q", title="MIDI"),
    ]
    bars = alt.Chart(table).mark_rect().encode(x=x, x2="end:Q", y=y, y2="top:Q", color=colour, tooltip=tips)
    told = _sentence(words, slider)
    now = words.loc[words["step"] == min(step, last - 1), "heard"].item()
    finding = (
        f"{last + 1} steps of music on the keys {note_name(notes[0])} to {note_name(notes[-1])}; at step "
        f"{min(step, last - 1)} the network hears {now} and is asked for what sounds next."
    )
    return (
        frames.layered(bars, told)
        .add_params(slider)
        .properties(width="container", height=HEIGHTS[1], description=finding)
    )


def image_slices(frame: pd.DataFrame, *, text: str = "", step: int | None = None) -> alt.ConcatChart:
    """Draw an image as the network reads it: column after column, each a slice of pixels.

    Parameters
    ----------
    frame : pandas.DataFrame
        Columns ``step`` (the column), ``row`` (from the top) and ``ink`` (0 to 1).
    text : str
        What is to be told of the image as a whole.
    step : int, optional
        Where the slider stands at first; the middle by default.

    Examples
    --------
    >>> import odyssey_kit as ok
    >>> digit = ok.load_example("mnist")
    >>> print(ok.charts.image_slices(digit.to_frame(), text=digit.text).description)
    An image of 28 columns of 28 pixels, read from left to right; asked for as a whole: 5.
    """
    table = _checked(frame, "step", "row", "ink")
    columns, rows = int(table["step"].max()) + 1, int(table["row"].max()) + 1
    slider = _slider("column", columns // 2 if step is None else step, columns - 1)
    wide = columns > _TALL * rows
    side = HEIGHTS[1] if not wide else min(HEIGHTS[1], round(NARROW_BELOW * rows / columns))
    width = side if not wide else NARROW_BELOW - 64
    image = _image(table, slider, columns, rows).properties(width=width, height=side)
    bars = _slice(table, slider, rows, lying=wide).properties(width=width if wide else 180, height=90 if wide else side)
    told = f"; asked for as a whole: {text}" if text else ""
    panels = alt.concat(image, bars, columns=1 if wide else 2, spacing=12 if wide else 28).add_params(slider)
    return panels.properties(
        description=f"An image of {columns} columns of {rows} pixels, read from left to right{told}.",
        usermeta=narrow(300 if wide else 220),
    )


def pen_strokes(frame: pd.DataFrame, *, text: str = "", step: int | None = None) -> alt.LayerChart:
    """Draw handwriting in the order in which it was written, up to the point where the slider stands.

    Parameters
    ----------
    frame : pandas.DataFrame
        Columns ``step``, ``stroke``, ``x``, ``y`` (up), ``dx``, ``dy``, ``seconds`` and ``lifted``, a row a point.
    text : str
        What is to be told of the line as a whole.
    step : int, optional
        Where the slider stands at first; two thirds of the way by default.

    Examples
    --------
    >>> import odyssey_kit as ok
    >>> line = ok.load_example("synthetic-strokes")
    >>> print(ok.charts.pen_strokes(line.to_frame(), text=line.text).description)
    Handwriting of 69 points in 8 strokes; asked for as a whole: ear is.
    """
    table = _checked(frame, "step", "stroke", "x", "y", "dx", "dy", "seconds", "lifted")
    last = int(table["step"].max())
    slider = _slider("point", (2 * last) // 3 if step is None else step, last)
    across, up = (float(table[name].max() - table[name].min()) or 1.0 for name in ("x", "y"))
    height = int(min(HEIGHTS[1], max(90, COLUMN_WIDTH * up / across)))
    table = table.assign(words=_pen_words(table))
    axes: dict[str, Any] = {
        name: channel(f"{name}:Q", scale=alt.Scale(zero=False, nice=False, padding=12), axis=None)
        for name, channel in (("x", alt.X), ("y", alt.Y))
    }
    base = alt.Chart(table).encode(**axes, order="step:Q", detail="stroke:N")
    whole = base.mark_line(color=tint(PUBLISHED).light, strokeWidth=3)
    so_far = base.transform_filter(f"datum.step <= {slider.name}")
    written = so_far.mark_line(color=INK.light, strokeWidth=2)
    points = so_far.mark_circle(color=INK.light, size=14, opacity=1)
    here = alt.Chart(table).transform_filter(f"datum.step === {slider.name}")
    pen = here.mark_circle(color=NOW.light, size=120, opacity=1).encode(**axes)
    told = _sentence(table, slider)
    strokes = int(table["stroke"].nunique())
    asked = f"; asked for as a whole: {text}" if text else ""
    return (
        frames.layered(whole, written, points, pen, told)
        .add_params(slider)
        .properties(
            width="container",
            height=height + 30,
            description=f"Handwriting of {last + 1} points in {strokes} strokes{asked}.",
        )
    )


def spectrogram(frame: pd.DataFrame, *, step: int | None = None) -> alt.LayerChart:
    """Draw a sound's energy in bands, frame by frame, with the phone that is asked for in each.

    Parameters
    ----------
    frame : pandas.DataFrame
        Columns ``step``, ``band``, ``energy`` (logarithm) and ``label``, a row a band of a frame.
    step : int, optional
        Where the slider stands at first; the middle by default.

    Examples
    --------
    >>> import odyssey_kit as ok
    >>> print(ok.charts.spectrogram(ok.load_example("synthetic-speech").to_frame()).description)
    43 frames of sound in 40 bands, with the phones sil, sh, eh, sil.
    """
    table = _checked(frame, "step", "band", "energy", "label")
    last, bands = int(table["step"].max()), int(table["band"].max()) + 1
    slider = _slider("frame", last // 2 if step is None else step, last)
    # A little more than a cell, so that no seam shows between two.
    table = table.assign(end=table["step"] + 1.04, top=table["band"] + 1.04)
    low = float(table["energy"].quantile(0.05))
    x = alt.X("step:Q", scale=alt.Scale(domain=[0, last + 1], nice=False), title="frame, 10 ms each")
    y = alt.Y("band:Q", scale=alt.Scale(domain=[0, bands + 5], nice=False))
    y = y.axis(values=[0, 10, 20, 30, bands], grid=False, title="band, from low to high; bright is loud")
    energy = alt.Color(
        "energy:Q",
        scale=alt.Scale(scheme="viridis", domain=[low, float(table["energy"].max())], clamp=True),
        legend=None,
    )
    tips = [alt.Tooltip(f"{name}:{kind}", title=name) for name, kind in (("step", "Q"), ("band", "Q"), ("label", "N"))]
    cells = alt.Chart(table).mark_rect().encode(x=x, x2="end:Q", y=y, y2="top:Q", color=energy, tooltip=tips)
    runs = _runs(table)
    names = (
        alt.Chart(runs)
        .mark_text(baseline="bottom", dy=-3, fontWeight=600)
        .encode(x="middle:Q", y="top:Q", text="label:N")
    )
    borders = (
        alt.Chart(runs).mark_rule(color=BACKGROUND.light, strokeWidth=2).encode(x="start:Q", y="bottom:Q", y2="top:Q")
    )
    marker = (
        alt.Chart(table)
        .transform_filter(f"datum.step === {slider.name} && datum.band === 0")
        .transform_calculate(foot="0", head=str(bands))
        .mark_rect(filled=False, stroke=NEXT.light, strokeWidth=2)
        .encode(x="step:Q", x2="end:Q", y="foot:Q", y2="head:Q")
    )
    phones = ", ".join(runs["label"])
    return (
        frames.layered(cells, borders, names, marker)
        .add_params(slider)
        .properties(
            width="container",
            height=HEIGHTS[1],
            description=f"{last + 1} frames of sound in {bands} bands, with the phones {phones}.",
        )
    )


def note_name(note: int) -> str:
    """Return a MIDI note's name.

    Examples
    --------
    >>> note_name(60), note_name(70)
    ('C4', 'B♭4')
    """
    return f"{_NAMES[int(note) % 12]}{int(note) // 12 - 1}"


def _checked(frame: pd.DataFrame, *columns: str) -> pd.DataFrame:
    missing = [name for name in columns if name not in frame.columns]
    if missing or frame.empty:
        raise UsageError(
            f"the frame has {len(frame)} rows and no column {', '.join(missing) or '(all are there)'}; "
            f"expected rows with {', '.join(columns)}, as ok.load_example(name).to_frame() has them"
        )
    return frame.loc[:, list(columns)]


def _slider(name: str, value: int, last: int) -> Any:
    return alt.param(name=name, value=value, bind=alt.binding_range(min=0, max=last, step=1, name=f"{name} "))


def _sentence(words: pd.DataFrame, slider: Any) -> alt.Chart:
    """Return the sentence of the step where the slider stands, above the panel."""
    here = alt.Chart(words).transform_filter(f"datum.step === {slider.name}")
    return here.mark_text(align="left", baseline="bottom", color=MUTED.light, fontSize=12).encode(
        x=alt.value(0), y=alt.value(-8), text="words:N"
    )


def _chords(table: pd.DataFrame, last: int) -> pd.DataFrame:
    heard = {step: " ".join(group.sort_values("note")["name"]) for step, group in table.groupby("step")}
    rows = []
    for step in range(last):
        now, then = heard.get(step, "silence"), heard.get(step + 1, "silence")
        rows.append({"step": step, "heard": now, "words": f"step {step}: hears {now}; asked for: {then}"})
    return pd.DataFrame(rows)


def _pen_words(table: pd.DataFrame) -> list[str]:
    return [
        f"Δx {dx:+.2f}, Δy {dy:+.2f}, {seconds:.2f} s into the stroke, pen {'lifted' if lifted else 'down'}"
        for dx, dy, seconds, lifted in table[["dx", "dy", "seconds", "lifted"]].itertuples(index=False)
    ]


def _image(table: pd.DataFrame, slider: Any, columns: int, rows: int) -> alt.LayerChart:
    x = alt.X("step:Q", scale=alt.Scale(domain=[0, columns], nice=False), axis=None)
    y = alt.Y("row:Q", scale=alt.Scale(domain=[0, rows], nice=False, reverse=True), axis=None)
    shade = alt.Color("ink:Q", scale=alt.Scale(domain=[0, 1], range=[BACKGROUND.light, INK.light]), legend=None)
    base = alt.Chart(table).transform_calculate(
        end="datum.step + 1", bottom="datum.row + 1", top="0", foot=str(rows), edge=str(columns)
    )
    pixels = (
        base.transform_filter("datum.ink > 0.1").mark_rect().encode(x=x, x2="end:Q", y=y, y2="bottom:Q", color=shade)
    )
    first = base.transform_filter("datum.row === 0")
    border = first.transform_filter("datum.step === 0").mark_rect(filled=False, stroke=tint(PUBLISHED).light)
    here = first.transform_filter(f"datum.step === {slider.name}").mark_rect(color=NOW.light, opacity=0.35)
    over = alt.Y("top:Q", scale=alt.Scale(domain=[0, rows], nice=False, reverse=True), axis=None)
    return frames.layered(
        border.encode(x=x, x2="edge:Q", y=over, y2="foot:Q"),
        pixels,
        here.encode(x=x, x2="end:Q", y=over, y2="foot:Q"),
    )


def _slice(table: pd.DataFrame, slider: Any, rows: int, *, lying: bool) -> alt.Chart:
    """Return the slice where the slider stands: a bar a row, beside the image or lying below it."""
    here = alt.Chart(table).transform_filter(f"datum.step === {slider.name}")
    bars = here.transform_calculate(end="datum.row + 0.85", zero="0").mark_rect(color=NOW.light)
    row = {"scale": alt.Scale(domain=[0, rows], nice=False, reverse=not lying), "title": "row of the slice"}
    ink = {"scale": alt.Scale(domain=[0, 1]), "title": "ink", "axis": alt.Axis(values=[0, 0.5, 1])}
    if lying:
        return bars.encode(x=alt.X("row:Q", **row), x2="end:Q", y=alt.Y("zero:Q", **ink), y2="ink:Q")
    return bars.encode(y=alt.Y("row:Q", **row), y2="end:Q", x=alt.X("zero:Q", **ink), x2="ink:Q")


def _runs(table: pd.DataFrame) -> pd.DataFrame:
    """Return the stretches of one label: label, start, middle and the band's ends."""
    steps = table[["step", "label"]].drop_duplicates("step").sort_values("step")
    number = steps["label"].ne(steps["label"].shift()).cumsum()
    runs = steps.groupby(number).agg(label=("label", "first"), start=("step", "first"), end=("step", "last"))
    top = int(table["band"].max()) + 1
    return runs.assign(middle=(runs["start"] + runs["end"] + 1) / 2, bottom=0, top=top).reset_index(drop=True)

"""What the figures share: the columns they draw, axes in words and units, and the lane of diverged trials.

May import `errors`, `variants`, `analysis` and the other modules of `charts`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from odyssey_kit.analysis.trials import frame_of
from odyssey_kit.charts.palette import tint, variant_colour, variant_order
from odyssey_kit.errors import UsageError

LANE = 26  # pixels at the top edge that belong to the diverged trials
METRICS = {"nll_per_frame": ("loss", "nats a frame")}
# Above the loss of answering one half for each of 88 keys a number says only that training failed.
CAPS = {"nll_per_frame": 88 * math.log(2)}
HYPERPARAMETERS = {
    "learning_rate": "learning rate",
    "hidden_size": "hidden size",
    "momentum": "momentum",
    "input_noise_std": "input noise (standard deviation)",
}
TASKS = {"jsb-chorales": "JSB Chorales", "bach-chorales": "Bach chorales (a stand-in)"}
_DRAWN = ("key", "task", "variant", "state", "metric", "epochs", "best_epoch", "valid_metric", "test_metric")


def drawn(trials: Any, *, needed: Sequence[str] = ()) -> pd.DataFrame:
    """Return the columns that figures draw, vanilla last, so that it lies on top."""
    frame = frame_of(trials)
    missing = [column for column in (*needed, "variant") if column not in frame.columns]
    if missing:
        raise UsageError(f"the table has no column {', '.join(missing)}; it has {', '.join(map(str, frame.columns))}")
    columns = [name for name in frame.columns if name in (*_DRAWN, *needed) or str(name).startswith("params_")]
    rank = {name: place for place, name in enumerate(reversed(variant_order(frame["variant"])))}
    order = np.argsort(frame["variant"].map(rank).to_numpy(), kind="stable")
    return frame.loc[:, columns].iloc[order].reset_index(drop=True)


def layered(*charts: Any, **options: Any) -> alt.LayerChart:
    """Return charts on top of each other, the last one uppermost."""
    return alt.LayerChart(layer=charts, **options)


def with_lane(frame: pd.DataFrame, *, metric: str) -> pd.DataFrame:
    """Add the column ``outcome``: ``"drawn"``, ``"diverged"``, ``"failed"`` or ``"beyond"`` the cap."""
    values = frame[metric].astype(float)
    cap = CAPS.get(metric_of(frame), math.inf)
    state = frame["state"] if "state" in frame else pd.Series("COMPLETE", index=frame.index)
    outcome = np.select(
        [state.eq("FAILED"), state.eq("DIVERGED") | ~np.isfinite(values), values > cap],
        ["failed", "diverged", "beyond"],
        default="drawn",
    )
    return frame.assign(outcome=outcome)


def counted(frame: pd.DataFrame, *, metric: str) -> pd.Series:
    """Return the metric as the ledger counts it; `with_lane` must have added the column ``outcome``.

    A trial that diverged has the loss of its best epoch, as its network was kept; one without any, and one above the
    cap, has the cap. Where no cap is known it is the worst that is drawn. What failed by accident has none.
    """
    values = frame[metric].astype(float)
    cap = CAPS.get(metric_of(frame), values[frame["outcome"].eq("drawn")].max())
    return values.fillna(math.inf).clip(upper=cap).where(frame["outcome"].ne("failed"))


def lane_words(outcome: Iterable[str], *, cap: float = math.nan) -> str:
    """Return what the lane holds, as words: ``"3 diverged, 1 above 61"``."""
    counts = pd.Series(list(outcome)).value_counts()
    words = {"diverged": "diverged", "failed": "failed", "beyond": f"above {cap:.2g}"}
    return ", ".join(f"{counts[kind]} {text}" for kind, text in words.items() if kind in counts)


def metric_of(frame: pd.DataFrame) -> str:
    """Return the name of the metric that all rows share, or nothing."""
    names = frame["metric"].unique() if "metric" in frame else []
    return str(names[0]) if len(names) == 1 else ""


def metric_words(frame: pd.DataFrame, column: str) -> str:
    """Return a metric's column in words and units: ``"test loss, nats a frame"``."""
    split = {"test_metric": "test ", "valid_metric": "validation "}.get(column, "")
    noun, unit = METRICS.get(metric_of(frame), ("metric", metric_of(frame)))
    return f"{split}{noun}, {unit}".rstrip(", ")


@dataclass(frozen=True, kw_only=True)
class ValueAxis:
    """Scale, ticks and words of an axis of losses: logarithmic where the values span more than threefold."""

    low: float
    high: float
    log: bool
    ticks: tuple[float, ...]
    words: str

    @property
    def title(self) -> str:
        """The axis in words and units."""
        return f"{self.words}, log scale" if self.log else self.words

    def scale(self, *, start: float | None = None, stop: float | None = None) -> alt.Scale:
        """Return the scale; `start` and `stop` are pixels, from the low to the high end."""
        options: dict[str, Any] = {"domain": [self.low, self.high], "nice": False}
        if not self.log:
            options["zero"] = False
        if start is not None:
            options["range"] = [start, stop]
        return alt.Scale(type="log" if self.log else "linear", **options)

    def axis(self, **options: Any) -> alt.Axis:
        """Return the axis with its ticks."""
        return alt.Axis(
            **{"values": list(self.ticks), "labelExpr": "format(datum.value, '~r')", "title": self.title, **options}
        )


def value_axis(values: Any, words: str) -> ValueAxis:
    """Return the axis that holds all values, with a little room at both ends."""
    numbers = np.asarray(values, dtype=float)
    numbers = numbers[np.isfinite(numbers)]
    low, high = (float(numbers.min()), float(numbers.max())) if len(numbers) else (1.0, 10.0)
    if low > 0 and high / low > 3:
        room = (high / low) ** 0.04
        low, high = low / room, high * room
        steps = [digit * 10.0**power for power in range(-9, 10) for digit in (1, 1.5, 2, 3, 5, 7)]
        ticks = [tick for tick in steps if low <= tick <= high]
        kept = [tick for tick in ticks if round(tick / 10 ** math.floor(math.log10(tick)), 1) in (1, 2, 5)]
        return ValueAxis(low=low, high=high, log=True, ticks=tuple(kept if len(kept) > 2 else ticks), words=words)
    room = 0.06 * ((high - low) or abs(high) or 1.0)
    low, high = low - room, high + room
    step = _round_step((high - low) / 4)
    first = math.ceil(low / step)
    ticks = [round(step * place, 10) for place in range(first, math.floor(high / step) + 1)]
    return ValueAxis(low=low, high=high, log=False, ticks=tuple(ticks), words=words)


def _round_step(raw: float) -> float:
    power = 10.0 ** math.floor(math.log10(raw))
    return power * min((1, 2, 2.5, 5, 10), key=lambda digit: abs(math.log(raw / power / digit)))


def variant_colours(names: Iterable[str], *, legend: bool = True) -> alt.Color:
    """Return the colour channel of variants: fixed colours, the papers' order."""
    domain = variant_order(names)
    colours = [variant_colour(name, among=domain).light for name in domain]
    # Five labels fill a phone's column.
    shown = alt.Legend(title=None, columns=5) if legend else None
    return alt.Color("variant:N", scale=alt.Scale(domain=domain, range=colours), legend=shown)


def variant_spreads(names: Iterable[str]) -> alt.Fill:
    """Return the fill channel of intervals and spreads: each variant's colour, transparent."""
    domain = variant_order(names)
    colours = [tint(variant_colour(name, among=domain)).light for name in domain]
    return alt.Fill("variant:N", scale=alt.Scale(domain=domain, range=colours), legend=None)


def trial_tooltip(frame: pd.DataFrame, *, metric: str) -> list[alt.Tooltip]:
    """Return the lines of a trial's tooltip; `with_settings` must have added their words."""
    lines = [
        alt.Tooltip("key:N", title="trial"),
        alt.Tooltip("variant:N", title="variant"),
        alt.Tooltip("settings_rate:N", title="learning rate"),
        alt.Tooltip("settings_size:N", title="hidden size"),
        alt.Tooltip("settings_other:N", title="momentum, noise"),
        alt.Tooltip("settings_result:N", title=metric_words(frame, metric)),
    ]
    return [line for line in lines if str(line.shorthand).split(":")[0] in frame.columns]


def with_settings(frame: pd.DataFrame, *, metric: str) -> pd.DataFrame:
    """Add a trial's settings and result as words, for its tooltip."""
    words: dict[str, Any] = {}
    if "params_learning_rate" in frame:
        words["settings_rate"] = [rate_words(rate) for rate in frame["params_learning_rate"]]
    if "params_hidden_size" in frame:
        words["settings_size"] = frame["params_hidden_size"].astype(str)
    if {"params_momentum", "params_input_noise_std"} <= set(frame.columns):
        pairs = zip(frame["params_momentum"], frame["params_input_noise_std"], strict=True)
        words["settings_other"] = [f"{momentum:.3g}, {noise:.2g}" for momentum, noise in pairs]
    outcome = frame["outcome"] if "outcome" in frame else pd.Series("drawn", index=frame.index)
    epochs = frame["epochs"] if "epochs" in frame else pd.Series(0, index=frame.index)
    words["settings_result"] = [
        (f"{value:.4g}" if math.isfinite(value) else str(kind)) + (f" after {count} epochs" if count else "")
        for value, kind, count in zip(frame[metric].astype(float), outcome, epochs, strict=True)
    ]
    return frame.assign(**words)


def rate_words(value: float) -> str:
    """Return a rate as a power of ten.

    Examples
    --------
    >>> rate_words(0.00032), rate_words(1e-6)
    ('3.2·10⁻⁴', '10⁻⁶')
    """
    power = math.floor(math.log10(value) + 1e-9)
    digits = f"{value / 10.0**power:.2g}"
    written = "10" + str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return written if digits == "1" else f"{digits}·{written}"


def task_words(task: str) -> str:
    """Return a task's name as a reader knows it; a stand-in says so."""
    return TASKS.get(task, task)


def tasks_words(frame: pd.DataFrame) -> str:
    """Return the names of a table's tasks."""
    return " and ".join(task_words(task) for task in frame["task"].unique())


def effect_words(name: str) -> str:
    """Return a hyperparameter, a pair or the rest in words."""
    if name == "rest":
        return "all interactions"
    short = {**HYPERPARAMETERS, "input_noise_std": "input noise"}
    return " × ".join(short.get(part, part.replace("_", " ")) for part in name.split(" × "))


def count_words(n: Any, noun: str) -> str:
    """Return a number with its noun, in the plural where it is due."""
    return f"{int(n)} {noun}" if int(n) == 1 else f"{int(n)} {noun}s"


def size_words(counts: pd.Series) -> str:
    """Return the sizes of groups in words: ``"3 to 11 trials"``."""
    low, high = int(counts.min()), int(counts.max())
    return count_words(low, "trial") if low == high else f"{low} to {count_words(high, 'trial')}"

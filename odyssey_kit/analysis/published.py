"""The papers' own numbers: tables with their source and reading error, re-tests of the published boxes, errata.

What was read off a figure was read off its vector drawing, calibrated on the printed ticks. May
import `errors`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from odyssey_kit.errors import UsageError

__all__ = ["Published", "list_published", "load_published", "published_errata", "retest_published"]

ODYSSEY = "Greff et al. (2017), LSTM: A Search Space Odyssey, IEEE TNNLS 28(10):2222-2232"
BREUEL = "Breuel (2015), Benchmarking of LSTM Networks, arXiv:1508.02774"
_READ = "read off the vector drawing; ±0.06 points on TIMIT, ±0.1 points on IAM-OnDB, ±0.005 nats on JSB Chorales"

# name -> file, source, error of the numbers
_TABLES: Mapping[str, tuple[str, str, str]] = MappingProxyType(
    {
        "odyssey-figure3": ("boxes of all trials and of the best tenth", f"{ODYSSEY}, Figure 3", _READ),
        "odyssey-figure4": ("vanilla's marginals of performance and hours", f"{ODYSSEY}, Figure 4", _READ),
        "odyssey-figure5": ("shares of variance of vanilla, per cent", f"{ODYSSEY}, Figure 5", "areas of the wedges"),
        "odyssey-text": ("numbers in the text", f"{ODYSSEY}, sections IV and V", "as printed"),
        "odyssey-pilot-shares": (
            "shares of main effects in a pilot on TIMIT, per cent, five unpublished variants among them",
            "Greff, hyperimp, notebook Analyse.ipynb (January 2015)",
            "as printed; draft data, learning rates up to 9",
        ),
        "breuel-text": ("numbers in the text", BREUEL, "as printed; there are no tables and no tests"),
    }
)
# The expected range of a normal sample, in standard deviations, for the twenty trials of a best tenth.
_RANGE_OF_20 = 3.735
_QUARTILES = 1.349
N_BEST = 20
N_COMPARISONS = 8


@dataclass(frozen=True, kw_only=True, eq=False)
class Published:
    """A table of a paper.

    Parameters
    ----------
    name, what : str
        Its name here, and what it holds.
    source : str
        Paper, section or figure.
    error : str
        How exact its numbers are.
    frame : pandas.DataFrame
        The numbers. A column ``off_scale`` names those that are only a lower bound, because the
        drawing ends there.
    """

    name: str
    what: str
    source: str
    error: str
    frame: pd.DataFrame

    def __repr__(self) -> str:
        return f"Published({self.name!r}: {self.what}, {len(self.frame)} rows; {self.source}; {self.error})"


def list_published() -> pd.DataFrame:
    """Return the tables there are: indexed by name; columns what, source, error.

    Examples
    --------
    >>> list_published().loc["odyssey-figure5", "what"]
    'shares of variance of vanilla, per cent'
    """
    rows = [{"name": name, "what": what, "source": s, "error": e} for name, (what, s, e) in _TABLES.items()]
    return pd.DataFrame(rows).set_index("name")


def load_published(name: str) -> Published:
    """Return one table of a paper.

    Parameters
    ----------
    name : str
        As `list_published` has it.

    Raises
    ------
    UsageError
        If there is no such table.

    Examples
    --------
    >>> figure = load_published("odyssey-figure3").frame
    >>> figure.query("task == 'jsb-chorales' and selection == 'best tenth' and variant == 'V'")["mean"].item()
    8.55
    """
    if name not in _TABLES:
        raise UsageError(f"no published table is called {name!r}; there are: {', '.join(_TABLES)}")
    what, source, error = _TABLES[name]
    return Published(name=name, what=what, source=source, error=error, frame=_table(name))


def published_errata(paper: str | None = None) -> pd.DataFrame:
    """Return the slips of both papers: columns paper, number, where, says, but, bears_on (a claim).

    Examples
    --------
    >>> len(published_errata("odyssey")), len(published_errata("breuel"))
    (11, 7)
    """
    frame = _read("errata")
    if paper is None:
        return frame
    if paper not in set(frame["paper"]):
        raise UsageError(f"no paper is called {paper!r}; expected one of {', '.join(frame['paper'].unique())}")
    return frame[frame["paper"].eq(paper)].reset_index(drop=True)


def retest_published(alpha: float = 0.05) -> pd.DataFrame:
    r"""Test the published boxes of the best tenths against vanilla's again.

    The standard deviation of a box is the mean of what its quartiles and what its range imply for
    twenty normal values; where the drawing cuts one of them off, the other alone. So these are
    approximate re-tests, and no substitute for trials.

    Parameters
    ----------
    alpha : float
        Level of the painted boxes' claim.

    Returns
    -------
    pandas.DataFrame
        One row a task and variant: ``task``, ``variant``, ``difference`` (variant minus V), ``low``,
        ``high`` (95 %, not corrected), ``d`` (in standard deviations), ``p``, ``p_bonferroni``
        (times 8), ``painted_significant``, ``agrees`` (painted as re-tested), ``detectable`` (the
        difference found with 80 % power at that n, in the metric's unit). Boxes whose mean is off
        scale have no test.

    References
    ----------
    Greff et al. (2017), Figure 3 and section V-A.

    Examples
    --------
    >>> tests = retest_published().set_index(["task", "variant"])
    >>> row = tests.loc[("jsb-chorales", "NFG")]
    >>> f"{row['difference']:.3f}", f"{row['p_bonferroni']:.2f}", bool(row["painted_significant"])
    ('0.047', '0.35', True)
    """
    frame = load_published("odyssey-figure3").frame.query("selection == 'best tenth'")
    rows = []
    for task, boxes in frame.groupby("task", sort=False):
        vanilla = boxes[boxes["variant"].eq("V")].iloc[0]
        for _, box in boxes[boxes["variant"].ne("V")].iterrows():
            rows.append({"task": task, "variant": box["variant"], **_retest(box, vanilla, alpha)})
    return pd.DataFrame(rows)


def detectable_effect(n: int, *, alpha: float = 0.05, comparisons: int = 8, power: float = 0.8) -> float:
    """Return the standardised difference that Welch's test of n against n finds with that power.

    Examples
    --------
    >>> [round(detectable_effect(n), 2) for n in (10, 20, 200)]
    [1.79, 1.19, 0.36]
    """
    from statsmodels.stats.power import TTestIndPower

    return float(TTestIndPower().solve_power(nobs1=n, alpha=alpha / comparisons, power=power, effect_size=None))


def _retest(box: pd.Series, vanilla: pd.Series, alpha: float) -> dict[str, Any]:
    painted = bool(box["painted_significant"])
    if "mean" in box["off_scale"].split():
        missing = dict.fromkeys(("difference", "low", "high", "d", "p", "p_bonferroni", "detectable"), math.nan)
        return {**missing, "painted_significant": painted, "agrees": None}
    s, s0 = _deviation(box), _deviation(vanilla)
    difference, pooled = box["mean"] - vanilla["mean"], math.sqrt((s**2 + s0**2) / 2)
    test: Any = stats.ttest_ind_from_stats(box["mean"], s, N_BEST, vanilla["mean"], s0, N_BEST, equal_var=False)
    v, v0 = s**2 / N_BEST, s0**2 / N_BEST
    half = stats.t.ppf(0.975, (v + v0) ** 2 * (N_BEST - 1) / (v**2 + v0**2)) * math.sqrt(v + v0)
    corrected = min(1.0, N_COMPARISONS * float(test.pvalue))
    return {
        "difference": difference,
        "low": difference - half,
        "high": difference + half,
        "d": difference / pooled,
        "p": float(test.pvalue),
        "p_bonferroni": corrected,
        "painted_significant": painted,
        "agrees": painted == (corrected < alpha),
        "detectable": detectable_effect(N_BEST) * pooled,
    }


def _deviation(box: pd.Series) -> float:
    cut = set(box["off_scale"].split())
    implied = [(box["q75"] - box["q25"]) / _QUARTILES] if not cut & {"q25", "q75"} else []
    implied += [(box["max"] - box["min"]) / _RANGE_OF_20] if not cut & {"min", "max"} else []
    # With both ends cut off the quartiles are a lower bound of the spread.
    return float(np.mean(implied)) if implied else float((box["q75"] - box["q25"]) / _QUARTILES)


def _read(name: str) -> pd.DataFrame:
    with resources.files("odyssey_kit.analysis.papers").joinpath(f"{name}.csv").open(encoding="utf-8") as file:
        return pd.read_csv(file, dtype=str, keep_default_na=False)


def _table(name: str) -> pd.DataFrame:
    """Read a table: ">35" becomes 35 and is named in ``off_scale``; numbers become numbers."""
    text = _read(name)
    cut = text.apply(lambda column: column.str.startswith(">"))
    frame = text.apply(lambda column: column.str.removeprefix(">"))
    for column in frame:
        numbers = pd.to_numeric(frame[column].replace("", math.nan), errors="coerce")
        if numbers.notna().any() and numbers.isna().eq(frame[column].eq("")).all():
            frame[column] = numbers
    for flag in {"painted_significant", "coarse", "unpublished"} & set(frame):
        frame[flag] = frame[flag].astype(bool)
    if name == "odyssey-figure3":
        frame["off_scale"] = [" ".join(cut.columns[row]) for row in cut.to_numpy()]
    return frame

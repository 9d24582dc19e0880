"""How often the intervals of shares held the truth, when it was counted. May import `analysis.surfaces`.

The counts are those that `benchmarks/fanova_coverage.py` wrote; `coverage.json` beside this file is
made of its output, one setting a line, and nothing in it was typed.
"""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from odyssey_kit.analysis.surfaces import SURFACES

__all__ = ["measured_coverage"]


def measured_coverage(what: str = "coverage") -> pd.DataFrame:
    """Return the counted coverage of nominal 90 % intervals, one row a setting and term.

    Parameters
    ----------
    what : {"coverage", "curve_coverage"}
        Of shares, or of the bands of marginal curves (the mean over points).

    Returns
    -------
    pandas.DataFrame
        Columns surface, n (trials), noise (standard deviation; the function's is one), repeats (trials
        of each configuration), ``data_sets``, ``parameters``, ``truth`` (of shares), ``coverage``,
        ``bias`` and ``width``.

    Examples
    --------
    >>> import odyssey_kit as ok
    >>> counted = ok.measured_coverage()
    >>> bool(counted["coverage"].between(0, 1).all()), int(counted["n"].min())
    (True, 200)
    """
    rows = []
    for line in Path(__file__).with_name("coverage.json").read_text(encoding="utf-8").splitlines():
        setting = json.loads(line)
        surface = SURFACES[setting["surface"]]
        shared = {name: setting[name] for name in ("surface", "n", "noise", "repeats", "data_sets")}
        if what == "curve_coverage":
            pairs = zip(surface.space, setting.get("curve_coverage") or (), strict=False)
            rows += [{**shared, "parameters": name, "coverage": held} for name, held in pairs]
            continue
        for u, subset in enumerate(surface.subsets):
            row = {name: setting[name][u] for name in ("truth", "coverage", "bias", "width")}
            rows.append({**shared, "parameters": surface.names(subset), **row})
    return pd.DataFrame(rows)

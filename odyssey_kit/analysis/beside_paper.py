"""Trials beside the numbers that the Odyssey published of the same task under the same protocol.

A number of the paper stands beside ours only where the data are its own. May import `errors`,
`analysis.claims`, `analysis.importance`, `analysis.published`, `analysis.schema` and `analysis.trials`.
"""

from __future__ import annotations

import warnings

import pandas as pd

from odyssey_kit.analysis.claims.evidence import measured
from odyssey_kit.analysis.claims.ledger import conventions
from odyssey_kit.analysis.importance import fanova
from odyssey_kit.analysis.published import load_published
from odyssey_kit.analysis.schema import PARAMETER_PREFIX
from odyssey_kit.analysis.trials import Trials, as_trials, select_top
from odyssey_kit.errors import UsageError

__all__ = ["beside_figure3", "best_by_validation", "best_trials", "paper_shares"]

_MOMENTS = ("mean", "median", "q25", "q75")


def beside_figure3(trials: Trials | pd.DataFrame, *, best: bool = True) -> pd.DataFrame:
    """Return what Figure 3 of the Odyssey shows of each variant, of these trials and of the paper's.

    Parameters
    ----------
    trials : Trials or pandas.DataFrame
        Trials of a task of the paper.
    best : bool
        Whether of the best tenth of each variant by validation, or of all its trials.

    Returns
    -------
    pandas.DataFrame
        One row a task and variant: ``n`` trials that ran; ``lost``: those of them that diverged (they count with
        their best epoch, if they had one) or whose loss was above the ledger's cap (they count as the
        cap); ``mean``, ``median``, ``q25``, ``q75`` of the
        test metric; the same with ``paper_`` before it; ``painted_significant``; ``off_scale``: which of
        the paper's numbers are only a lower bound. A variant that the paper did not print has none.

    Raises
    ------
    UsageError
        If there are no trials, a task is not the paper's, or the best tenth has fewer than three trials.

    References
    ----------
    Greff et al. (2017), Figure 3; see `load_published`.
    """
    trials = as_trials(trials)
    if trials.frame.empty:
        raise UsageError("the table has no trials, expected those of a task of the paper; see ok.load_trials")
    figure = load_published("odyssey-figure3").frame
    figure = figure[figure["selection"].eq("best tenth" if best else "all")]
    if strange := [task for task in trials.tasks if task not in set(figure["task"])]:
        raise UsageError(
            f"{', '.join(strange)}: not a data set of the paper, whose numbers compare with no other's; "
            f"expected {', '.join(figure['task'].unique())}"
        )
    chosen = select_top(trials, top=_top()).frame if best else trials.frame
    rows = []
    for (task, variant), cell in chosen.groupby(["task", "variant"], sort=False):
        ran = measured(cell, conventions().tasks[str(task)].cap)
        values = ran["test_metric"]
        q25, median, q75 = values.quantile([0.25, 0.5, 0.75])
        lost = int((ran["diverged"] | ran["capped"]).sum())
        moments = {"mean": values.mean(), "median": median, "q25": q25, "q75": q75}
        rows.append({"task": task, "variant": variant, "n": len(ran), "lost": lost, **moments})
    known = figure[["task", "variant", *_MOMENTS, "painted_significant", "off_scale"]]
    known = known.rename(columns={name: f"paper_{name}" for name in _MOMENTS})
    return pd.DataFrame(rows).merge(known, on=["task", "variant"], how="left")


def _top() -> float:
    return float(conventions().selection["top"])


def best_by_validation(trials: Trials | pd.DataFrame) -> pd.DataFrame:
    """Return the trial of each task with the best validation metric, beside the paper's.

    Parameters
    ----------
    trials : Trials or pandas.DataFrame
        Trials of any tasks.

    Returns
    -------
    pandas.DataFrame
        One row a task: ``variant``, ``key``, ``valid_metric``, ``test_metric``, and of the paper
        ``paper_variant`` and ``paper_test_metric``, missing where the task is not the paper's.

    Raises
    ------
    UsageError
        If no trial has a validation metric.
    """
    text = load_published("odyssey-text").frame
    text = text[text["quantity"].eq("best trial by validation")]
    known = text[["task", "variant", "value"]]
    known = known.rename(columns={"variant": "paper_variant", "value": "paper_test_metric"})
    columns = ["task", "variant", "key", "valid_metric", "test_metric"]
    return (
        best_trials(trials, by="task")[columns].merge(known, on="task", how="left").astype({"paper_test_metric": float})
    )


def best_trials(trials: Trials | pd.DataFrame, *, by: str) -> pd.DataFrame:
    """Return the whole row of the trial with the best validation metric, of each value of a column."""
    frame = as_trials(trials).frame
    finished = frame.dropna(subset=["valid_metric"]).sort_values(["valid_metric", "index"], kind="stable")
    if finished.empty:
        raise UsageError(f"none of the {len(frame)} trials has a validation metric, expected one at least")
    return finished.groupby(by, sort=False).head(1)


def paper_shares(trials: Trials | pd.DataFrame, *, variant: str = "V") -> pd.DataFrame:
    """Return shares of the variance as the Odyssey estimated them, beside those that it printed.

    Its estimate is the mean over 100 trees, each grown to the end, of the shares within a tree, between
    the smallest and the largest value that was drawn. What main effects leave over it calls higher order.
    Losses above the ledger's cap count as the cap.

    Parameters
    ----------
    trials : Trials or pandas.DataFrame
        Trials of one task, with their search space.
    variant : str
        Whose trials are analysed; the printed shares are vanilla's.

    Returns
    -------
    pandas.DataFrame
        Columns ``parameters``, ``share``, ``paper_share`` (missing where none was printed), ``oob_r2``,
        ``n_trials``; the last row is ``rest``.

    Raises
    ------
    UsageError
        If the variant has trials of no task or of several, or `FunctionalANOVA` refuses them.
    """
    trials = as_trials(trials)
    cell = trials.query(f"variant == {variant!r}")
    if len(cell.tasks) != 1:
        raise UsageError(f"expected trials of {variant!r} on one task, got {', '.join(cell.tasks) or 'none'}")
    task = cell.tasks[0]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="out-of-bag R2", category=UserWarning)  # it is a column
        model = fanova(cell, estimand="tree", n_trees=100, cap=conventions().tasks[task].cap)
    columns = {name: cell.frame[PARAMETER_PREFIX + name] for name in model.parameters_}
    observed = {name: (float(values.min()), float(values.max())) for name, values in columns.items()}
    table = model.importances(measure=observed)[["parameters", "share", "oob_r2", "n_trials"]]
    pie = load_published("odyssey-figure5").frame.query("task == @task").set_index("parameters")["share"] / 100
    printed = [pie.get("higher order" if name == "rest" else name) for name in table["parameters"]]
    return table.assign(paper_share=pd.array(printed, dtype="Float64").to_numpy(float, na_value=float("nan")))

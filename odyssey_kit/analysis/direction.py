"""Which way a metric is better, and whether its name says otherwise. May import `errors`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from odyssey_kit.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["DIRECTIONS", "Direction", "better", "sign", "unstated"]

Direction = Literal["minimize", "maximize"]
# Optuna's words, and what turns a metric into one of which lower is better.
DIRECTIONS = {"minimize": 1, "maximize": -1}

_GOOD = re.compile(
    r"acc(urac(y|ies))?|au(c|roc|prc)|roc|map|f1(score)?|r2|bleu|rouge|meteor|score|reward|return|precision|recall"
    r"|sensitivity|specificity|iou|dice|psnr|ssim|ndcg|mrr|kappa|mcc|success|wins?|winrate|match|corr(elation)?"
    r"|fitness|(log)?likelihood|elbo|top[15]"
)
# Of a good thing turned round lower is better: an error of an accuracy, a negative likelihood.
_TURNED = re.compile(r"err(or)?|loss|minus|neg(ative)?|nll|inverse|brier|perplexity|regret|cost")


def sign(direction: str | None) -> int:
    """Return what a metric is multiplied by so that lower is better; unstated it is.

    Raises
    ------
    UsageError
        If it is no direction.

    Examples
    --------
    >>> sign(None), sign("maximize")
    (1, -1)
    """
    if direction is None:
        return 1
    if not isinstance(direction, str) or direction not in DIRECTIONS:
        raise UsageError(f"direction is {direction!r}, expected one of {', '.join(map(repr, DIRECTIONS))}")
    return DIRECTIONS[direction]


def better(direction: str | None) -> str:
    """Say which values are better."""
    return "lower is better" if sign(direction) > 0 else "higher is better"


def _sounds_good(name: str) -> bool:
    words = re.findall(r"[a-z]+[0-9]?", re.sub(r"([a-z])([A-Z])", r"\1 \2", name).lower())
    return any(map(_GOOD.fullmatch, words)) and not any(map(_TURNED.fullmatch, words))


def unstated(direction: str | None, metric: str, frame: pd.DataFrame) -> str:
    """Say that a metric sounds like one to be maximised while nobody said which way it is better; else nothing.

    Parameters
    ----------
    direction : str or None
        As it was given.
    metric : str
        Column of the table. ``test_metric`` and ``valid_metric`` are called what the column ``metric`` says.
    frame : pandas.DataFrame
        The table.

    Examples
    --------
    >>> import pandas as pd
    >>> bool(unstated(None, "valAccuracy", pd.DataFrame())), bool(unstated(None, "accuracy_loss", pd.DataFrame()))
    (True, False)
    >>> unstated("minimize", "accuracy", pd.DataFrame())
    ''
    """
    if direction is not None:
        return ""
    told = metric in ("test_metric", "valid_metric") and "metric" in frame
    names = [str(name) for name in frame["metric"].unique()] if told else [str(metric)]
    good = next((name for name in names if _sounds_good(name)), None)
    if good is None:
        return ""
    return (
        f"{good!r} sounds like something to be maximised, but nobody said so and lower is taken as better: pass "
        "direction='maximize' (--maximize), or direction='minimize' (--minimize) if that is right"
    )

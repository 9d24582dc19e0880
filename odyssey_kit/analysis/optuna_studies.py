"""To Optuna and back: its dashboard opens a study of ours, our analysis reads a study of theirs.

Optuna is optional, the extra [optuna]. May import `schema`, `trials`, `space` and `errors`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from odyssey_kit.analysis.schema import PARAMETER_PREFIX, parameter_columns
from odyssey_kit.analysis.trials import Trials
from odyssey_kit.errors import UsageError
from odyssey_kit.space import (
    Categorical,
    Distribution,
    LogUniform,
    OneMinusLogUniform,
    SearchSpace,
    Uniform,
    UniformInteger,
)

if TYPE_CHECKING:
    import optuna

__all__ = ["from_optuna", "to_optuna"]

_ROW = "odyssey_kit"  # the user attribute that holds a whole row, so that the way back loses nothing
_STUDY = "odyssey_kit_space"


def _optuna() -> Any:
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise UsageError("Optuna is not installed; pip install -c constraints.txt -e '.[optuna]'") from error
    return optuna


# ---- there ---------------------------------------------------------------------------------------


def _there(law: Distribution) -> Any:
    """Return a distribution of ours as Optuna's; it has none for 1 - log-uniform, which becomes uniform."""
    kinds = _optuna().distributions
    if isinstance(law, LogUniform):
        if law.integer:
            return kinds.IntDistribution(int(law.low), int(law.high), log=True)
        return kinds.FloatDistribution(law.low, law.high, log=True)
    if isinstance(law, UniformInteger):
        return kinds.IntDistribution(int(law.low), int(law.high))
    if isinstance(law, OneMinusLogUniform):
        return kinds.FloatDistribution(1 - law.high, 1 - law.low)
    if isinstance(law, Uniform):
        return kinds.FloatDistribution(law.low, law.high)
    if isinstance(law, Categorical):
        return kinds.CategoricalDistribution(law.choices)
    raise UsageError(f"{law!r} has no counterpart in Optuna")


def _observed(values: pd.Series) -> Distribution:
    """Return a distribution for a hyperparameter whose space is not known: the range that was seen."""
    distinct = values.unique().tolist()
    if len(distinct) == 1 or not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        return Categorical(choices=tuple(distinct))
    return Uniform(low=float(values.min()), high=float(values.max()))


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row as JSON can hold it: numpy's numbers as Python's, missing ones as None."""
    plain = {name: value.item() if hasattr(value, "item") else value for name, value in row.items()}
    missing = {name: None for name, value in plain.items() if value is pd.NA}
    return plain | missing


def to_optuna(trials: Trials, *, storage: Any = None, study_name: str | None = None) -> optuna.Study:
    """Return trials as a study of Optuna, which minimises the validation metric.

    Parameters
    ----------
    trials : Trials
        Task and variant become categorical parameters where the table has more than one.
    storage : str or optuna storage, optional
        Where Optuna keeps it, such as ``"sqlite:///odyssey.db"`` for optuna-dashboard; by default in memory.
    study_name : str, optional
        By default the study's own name.

    Returns
    -------
    optuna.Study
        Diverged and failed trials are in Optuna's state FAIL, for it has no other; every row is whole in the
        user attribute ``odyssey_kit``.

    Raises
    ------
    UsageError
        If Optuna is not installed.
    """
    optuna = _optuna()
    frame = trials.frame
    names = parameter_columns(frame)
    space = {
        name: (trials.space or {}).get(name.removeprefix(PARAMETER_PREFIX)) or _observed(frame[name]) for name in names
    }
    space |= {
        name: Categorical(choices=tuple(frame[name].unique()))
        for name in ("task", "variant")
        if len(set(frame[name])) > 1
    }
    laws = {name: _there(law) for name, law in space.items()}
    study = optuna.create_study(storage=storage, study_name=study_name or trials.name, direction="minimize")
    if trials.space is not None:
        study.set_user_attr(_STUDY, trials.space.to_dict())
    complete, failed = optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.FAIL
    for record in frame.to_dict("records"):
        row = _plain({str(name): value for name, value in record.items()})
        value = row["valid_metric"]
        whole = row["state"] == "COMPLETE" and value is not None and math.isfinite(value)
        study.add_trial(
            optuna.trial.create_trial(
                state=complete if whole else failed,
                value=value if whole else None,
                params={name.removeprefix(PARAMETER_PREFIX): row[name] for name in laws},
                distributions={name.removeprefix(PARAMETER_PREFIX): law for name, law in laws.items()},
                user_attrs={_ROW: json.dumps(row), "state": row["state"], "test_metric": _finite(row["test_metric"])},
            )
        )
    return study


def _finite(value: Any) -> float | None:
    """Return a number that JSON and a dashboard can show."""
    return value if value is not None and math.isfinite(value) else None


# ---- and back ------------------------------------------------------------------------------------


def _back(law: Any) -> Distribution:
    """Return a distribution of Optuna's as ours."""
    low, high = getattr(law, "low", None), getattr(law, "high", None)
    kind = type(law).__name__
    if kind == "CategoricalDistribution":
        return Categorical(choices=tuple(law.choices))
    if low is None or high is None or low == high:
        return Categorical(choices=(low,))
    whole = kind == "IntDistribution"
    if law.log:
        return LogUniform(low=low, high=high, integer=whole)
    if whole:
        return UniformInteger(low=low, high=high)
    return Uniform(low=low, high=high)


def _row(study: Any, trial: Any, sign: float, metric: str) -> dict[str, Any]:
    """Return a foreign trial as a row: its value is both the validation and the test metric."""
    complete = trial.state.name == "COMPLETE"
    value = sign * trial.value if complete else math.nan
    return {
        "key": f"{study.study_name}-{trial.number}",
        "study": study.study_name,
        "task": study.study_name,
        "variant": "all",
        "index": trial.number,
        "state": "COMPLETE" if complete else "FAILED",
        **{f"{PARAMETER_PREFIX}{name}": setting for name, setting in trial.params.items()},
        "metric": metric,
        "seconds": trial.duration.total_seconds() if trial.duration else math.nan,
        "valid_metric": value,
        "test_metric": value,
        "error": "" if complete else f"Optuna's state {trial.state.name}",
    }


def from_optuna(study: optuna.Study, *, space: SearchSpace | None = None) -> Trials:
    """Return a study of Optuna as trials, for the analysis.

    Parameters
    ----------
    study : optuna.Study
        With one objective. One that `to_optuna` made comes back as it was.
    space : SearchSpace, optional
        By default what Optuna's distributions say. It is what the trials were drawn from only if a random
        sampler drew them: a sampler that learns draws from something else, and intervals then do not hold.

    Returns
    -------
    Trials
        An objective that is maximised has its sign turned, and its metric says so. Pruned trials are FAILED,
        with the reason; those that still run are left out.

    Raises
    ------
    UsageError
        If it has several objectives, or no finished trial.

    Examples
    --------
    >>> import odyssey_kit as ok, optuna  # doctest: +SKIP
    >>> ok.fanova(ok.from_optuna(optuna.load_study(study_name="mine", storage="sqlite:///mine.db")))  # doctest: +SKIP
    """
    if len(study.directions) != 1:
        raise UsageError(f"study {study.study_name!r} has {len(study.directions)} objectives, expected one")
    finished = [trial for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]
    if not finished:
        raise UsageError(f"study {study.study_name!r} has no finished trial")
    if all(_ROW in trial.user_attrs for trial in finished):
        frame = pd.DataFrame([json.loads(trial.user_attrs[_ROW]) for trial in finished])
        described = study.user_attrs.get(_STUDY)
        known = SearchSpace.from_dict(described) if described else None
        return Trials.from_frame(frame, name=study.study_name, space=space or known)
    turned = study.direction.name == "MAXIMIZE"
    metric = f"{'minus ' if turned else ''}{(study.metric_names or ['objective'])[0]}"
    frame = pd.DataFrame([_row(study, trial, -1.0 if turned else 1.0, metric) for trial in finished])
    laws = {name: _back(law) for trial in finished for name, law in trial.distributions.items()}
    return Trials.from_frame(frame, name=study.study_name, space=space or SearchSpace(laws))

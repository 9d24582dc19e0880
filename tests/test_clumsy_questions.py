"""What does not fit is refused in words that help: what was got, what was expected, what to do next."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

import odyssey_kit as ok

N = 60
SPACE = ok.SearchSpace({"lr": ok.LogUniform(low=1e-5, high=1e-1), "drop": ok.Uniform(low=0, high=1)})


def runs() -> pd.DataFrame:
    """Return somebody's table: two models, two hyperparameters, a loss that learning rate and dropout rule."""
    rng = np.random.default_rng(0)
    u = rng.random((N, 2))
    loss = (u[:, 0] - 0.5) ** 2 + 0.1 * u[:, 1] + 0.01 * rng.standard_normal(N)
    return pd.DataFrame(
        {
            "params_lr": 10 ** (-5 + 4 * u[:, 0]),
            "params_drop": u[:, 1],
            "model": np.where(np.arange(N) % 2, "gru", "lstm"),
            "seed": np.arange(N) // 2,
            "loss": loss,
            "val": loss + 0.01 * rng.standard_normal(N),
        }
    )


RUNS = runs()
TWICE = pd.concat([RUNS, RUNS[["loss"]]], axis=1)


@pytest.fixture(scope="module")
def model() -> ok.FunctionalANOVA:
    return ok.fanova(RUNS, target="loss", space=SPACE, n_trees=100)


def trials(**columns) -> ok.Trials:
    return ok.trials_from_table(RUNS.assign(**columns), test="loss", valid="val", variant="model")


def rates(*values: float) -> ok.Trials:
    return trials(params_learning_rate=[*values, *np.geomspace(1e-4, 1e-2, N - len(values))], params_momentum=0.5)


def fitted(frame: pd.DataFrame = RUNS, **settings) -> ok.FunctionalANOVA:
    return ok.fanova(frame, **{"target": "loss", "space": SPACE, "n_trees": 100, **settings})


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        # ---- settings
        (lambda: fitted(n_trees="a"), "n_trees is 'a', expected 100 or more, a whole number"),
        (lambda: fitted(n_trees=0), "n_trees is 0, expected 100 or more"),
        (lambda: fitted(n_trees=150.5), "n_trees is 150.5, expected 100 or more, a whole number"),
        (lambda: fitted(min_samples_leaf=-1), "min_samples_leaf is -1, expected 1 or more"),
        (lambda: fitted(random_state="a"), "random_state is 'a', expected 0 or more, a whole number"),
        (lambda: fitted(random_state=None), "random_state is None, expected 0 or more"),
        (lambda: fitted(cap="a"), "cap is 'a', expected a finite number or None"),
        (lambda: fitted(diverged=[1]), r"diverged is \[1\], expected one of 'worst', 'raise' or a finite number"),
        (lambda: fitted(sampling=3), "sampling is 3, expected one of 'auto', 'random'"),
        (lambda: fitted(direction="up"), "direction is 'up', expected one of 'minimize', 'maximize'"),
        (lambda: fitted(target=["loss"]), r"target is \['loss'\], expected the name of a column"),
        (lambda: ok.FunctionalANOVA(space=SPACE).fit(RUNS, "loss"), "y is no array of numbers"),
        # ---- groups and variants
        (lambda: fitted(groups="nope"), "groups is 'nope', but the table has no such column; it has: params_lr"),
        (lambda: fitted(groups=[1, 2]), r"groups has shape \(2,\), expected a column's name or \(60,\)"),
        (lambda: fitted(RUNS.assign(g=np.nan), groups="g"), "groups is missing for 60 of 60 trials"),
        (lambda: fitted(with_variant=True), "with_variant=True, but the table has no column 'variant'; it has: par"),
        (lambda: fitted(variant="V"), "variant='V', but the table has no column 'variant'; it has: params_lr"),
        # ---- spaces
        (lambda: fitted(space={"lr": (0, 1)}), r"space is a dict, expected a SearchSpace; build one as ok\.Search"),
        (lambda: fitted(space=ok.SearchSpace({})), "space has no hyperparameter; build one as"),
        (lambda: ok.SearchSpace({"lr": (0, 1)}), r"'lr' is \(0, 1\), expected a distribution; build one as"),
        (lambda: ok.SearchSpace(["lr"]), r"search space is \['lr'\], expected a mapping; build one as"),
        (lambda: ok.SearchSpace.from_dict({"lr": 1}), "'lr' is 1, expected a mapping with type, low and high"),
        (lambda: ok.SearchSpace.from_dict([1]), r"got \[1\], expected a mapping from hyperparameter"),
        (lambda: ok.Uniform(low="a", high=1), "Uniform: expected finite low < high, got low='a', high=1"),
        (lambda: ok.Categorical(choices=("a", "b", "a")), "choice 'a' equals an earlier one; give each choice once"),
        (lambda: ok.Categorical(choices=(1, True)), "choice True equals an earlier one"),
        (lambda: ok.Categorical(choices="adam"), r"expected a tuple of choices such as \('adam', 'sgd'\), got 'adam'"),
        # ---- values
        (lambda: fitted(RUNS.assign(params_lr="high")), r"'params_lr' holds 'high' \(rows 0, 1, 2 and 57 more\), exp"),
        (lambda: fitted(RUNS.replace({"seed": 3}).assign(params_lr=[np.inf] + [1e-3] * 59)), r"holds inf \(row 0\)"),
        (lambda: fitted(RUNS.assign(params_lr=[np.nan] * 2 + [1e-3] * 58)), r"in 2 of 60 trials \(rows 0, 1\); drop"),
        (lambda: fitted(RUNS.assign(params_lr=[0.0] + [1e-3] * 59)), r"0\.1, .*\): 0\.0 \(row 0\); pass the space"),
        (lambda: fitted(RUNS.assign(state=np.nan)), "column 'state' is missing in 60 of 60 trials"),
        # ---- columns
        (lambda: fitted(TWICE), "the table is ambiguous: column 'loss' occurs more than once; rename or drop one"),
        (lambda: ok.FunctionalANOVA(space=SPACE).fit(TWICE, RUNS["loss"]), "column 'loss' occurs more than once"),
        (lambda: ok.analyze(TWICE, target="loss"), "column 'loss' occurs more than once"),
        (lambda: ok.compare(TWICE), "column 'loss' occurs more than once"),
        (lambda: ok.analysis.check_trials(TWICE), "column 'loss' occurs more than once"),
        (lambda: ok.trials_from_table(TWICE, test="loss"), "column 'loss' occurs more than once"),
        (lambda: ok.guess_space(TWICE), "column 'loss' occurs more than once"),
        (lambda: ok.guess_space(None), "expected Trials or a pandas DataFrame, got NoneType"),
        (
            lambda: ok.guess_space(RUNS, ["lr", "params_lr"]),
            "hyperparameter 'lr' is named more than once in lr, params",
        ),
        (lambda: ok.guess_space(RUNS, "lr"), r"parameters is 'lr', expected a list of columns such as \['lr'\]"),
        (lambda: ok.guess_space(RUNS.assign(params_x=[[1]] * N)), r"'params_x' holds \[1\], expected numbers or words"),
        (lambda: ok.guess_space(RUNS.assign(params_x=[np.inf, *range(59)])), "'params_x' is infinite in row 0"),
        # ---- comparisons
        (
            lambda: ok.compare(RUNS),
            r"is missing.*\. ok\.trials_from_table makes trials of a table with names of its own",
        ),
        (lambda: ok.compare(trials(), baseline="gru", top="a"), r"top is 'a', expected a fraction in \(0, 1\]"),
        (lambda: ok.compare(trials(), baseline="gru", margin="a"), "margin is 'a', expected a positive number"),
        (lambda: ok.compare(trials(), baseline="gru", random_state=-1), "random_state is -1, expected 0 or more"),
        (
            lambda: ok.compare(trials(), baseline="gru", by=["val"]),
            r"column to rank by is \['val'\], expected the name",
        ),
        (lambda: ok.compare(trials(), baseline="gru", direction="up"), "direction is 'up', expected one of 'minimize'"),
        (lambda: trials(model=[None] + ["a"] * 59), r"column 'model' is missing in 1 of 60 trials \(row 0\)"),
        (lambda: ok.trials_from_table(RUNS, test="loss", parameters="lr"), "parameters is 'lr', expected a list"),
        (lambda: ok.trials_from_table(RUNS, test="loss", space={"lr": (0, 1)}), "space is a dict, expected a Search"),
        # ---- the rest of the statistics
        (lambda: ok.find_basins(rates(np.inf)), "is not positive and finite or does not vary: no log scale"),
        (lambda: ok.find_basins(rates(), parameter=3), "parameter is 3, expected the name of a hyperparameter"),
        (lambda: ok.find_basins(rates(), parameter="rate"), "hyperparameter 'rate' does not exist; numeric columns"),
        (lambda: ok.find_basins(rates(), tolerance="a"), "tolerance is 'a', expected a positive number in units of"),
        (lambda: ok.find_basins(rates(), random_state="a"), "random_state is 'a', expected 0 or more, a whole number"),
        (lambda: ok.learning_rate_scaling(rates(0.0)), "the learning rate is 0 in row 0, expected positive numbers"),
        (lambda: ok.learning_rate_scaling(rates(-1.0)), "the learning rate is -1 in row 0, expected positive numbers"),
        (
            lambda: ok.learning_rate_scaling(rates(), 3),
            "against is 3, expected '1 - momentum' or the name of a setting",
        ),
        (lambda: ok.replay_rules(trials()), "no search space: the trials bring none"),
        (lambda: ok.replay_rules(trials(), space={"lr": (0, 1)}), "space is a dict, expected a SearchSpace"),
        (
            lambda: ok.replay_rules(trials(), ["one at a time"], space=SPACE, random_state=0.5),
            "random_state is 0.5, expected 0 or more, a whole number",
        ),
        (lambda: ok.expected_best(trials(), ["a"]), "budgets hold 'a', expected whole numbers from 1"),
        (lambda: ok.expected_best(trials(), 3), "budgets is 3, expected a list of whole numbers from 1"),
        (lambda: ok.select_top(trials(), top=None), "top is None, expected a fraction"),
        # ---- files
        (lambda: ok.load_trials(RUNS), "expected the path of a file, got DataFrame"),
        (lambda: ok.read_table(None), "expected the path of a file, got NoneType"),
        (lambda: ok.read_space(None), "expected the path of a file, got NoneType"),
        # ---- analyze
        (lambda: ok.analyze(RUNS, target="loss", variant_column="cell"), "the table has no column 'cell'; it has: par"),
        (lambda: ok.analyze(RUNS, target="loss", valid="dev"), "column to select by 'dev' does not exist; numeric"),
        (lambda: ok.analyze(RUNS, target="loss", groups="nope"), "groups is 'nope', but the table has no such column"),
    ],
)
def test_it_is_refused_in_words_that_help(ask, said):
    with pytest.raises(ok.UsageError, match=said) as error:
        ask()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda m: m.importances(2.0), r"order is 2\.0, expected 1 to 2"),
        (lambda m: m.importances(True), "order is True, expected 1 to 2"),
        (lambda m: m.importances(estimand=["tree"]), r"estimand is \['tree'\], expected one of 'corrected'"),
        (lambda m: m.importances(measure=5), r"measure is 5, expected a mapping from hyperparameter to \(low, high\)"),
        (lambda m: m.difference("lr", "drop", measure="lr"), "measure is 'lr', expected a mapping"),
        (lambda m: m.total_order(measure=[1]), r"measure is \[1\], expected a mapping"),
        (
            lambda m: m.marginal("lr", measure={"drop": ("a", "b")}),
            r"measure of 'drop' is \('a', 'b'\) .*does not fit U",
        ),
        (lambda m: m.importances(measure={"lr": (0, 1e-2)}), r"measure of 'lr' is \(0, 0\.01\) .*does not fit LogUnif"),
        (lambda m: m.marginal("lr", n_points="a"), "n_points is 'a', expected 2 or more, a whole number"),
        (lambda m: m.marginal(None), "expected one hyperparameter or two different ones, got None"),
        (lambda m: m.difference("lr", 3), "expected one hyperparameter or two different ones, got 3"),
        (lambda m: m.to_json(n_trees=0), "n_trees is 0, expected 1 or more"),
    ],
)
def test_a_fitted_model_refuses_what_it_cannot_answer(model, ask, said):
    with pytest.raises(ok.UsageError, match=said):
        ask(model)


@pytest.mark.parametrize(
    "ask",
    [
        lambda m: m.importances(),
        lambda m: m.difference("lr", "drop"),
        lambda m: m.total_order(),
        lambda m: m.marginal("lr"),
        lambda m: m.to_json(),
        lambda m: m.total_variance_,
        lambda m: m.noise_variance_,
        ok.pair_effects,
        ok.charts.marginals,
    ],
)
def test_a_model_that_is_not_fitted_says_so_as_scikit_learns_do(ask):
    with pytest.raises(NotFittedError, match="is not fitted yet"):
        ask(ok.FunctionalANOVA(space=SPACE))


def test_a_csv_file_is_no_study_and_the_way_on_is_named(tmp_path):
    with pytest.raises(ok.StudyError, match=r"does not exist.*is for ok\.read_table, or for `odyssey analyze`"):
        ok.load_trials("missing.csv")
    RUNS.to_csv(tmp_path / "runs.csv")
    with pytest.raises(ok.StudyError, match=r"is no table of a published study: published ones are Parquet"):
        ok.load_trials(tmp_path / "runs.csv")


@pytest.mark.parametrize("suffix", [".xlsx", ".tsv"])
def test_a_table_that_nothing_here_reads_is_to_be_saved_as_csv(tmp_path, suffix):
    path = tmp_path / f"runs{suffix}"
    RUNS.to_csv(path, sep="\t")
    with pytest.raises(
        ok.StudyError, match=rf"cannot be read as Parquet.*a \{suffix} file.*; save it as CSV, which is"
    ):
        ok.load_trials(path)
    with pytest.raises(ok.StudyError, match=rf"is a \{suffix} file, expected one of \.csv, .*; save it as CSV"):
        ok.read_table(path)


def test_a_space_with_one_name_twice_is_refused(tmp_path):
    law = json.dumps({"type": "Uniform", "low": 0, "high": 1})
    (tmp_path / "space.json").write_text(f'{{"lr": {law}, "lr": {law}}}', encoding="utf-8")
    with pytest.raises(ok.StudyError, match="'lr' is there more than once"):
        ok.read_space(tmp_path / "space.json")

"""The chapter on the chorales without a study, with part of it and with all: it always builds, and says which it is."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import made_up
import numpy as np
import pandas as pd
import pytest
from conftest import BOOK

import odyssey_kit as ok
from odyssey_kit.analysis import loading as finding
from odyssey_kit.charts import chorales, sentences
from odyssey_kit.charts.beside_paper import mean_gaps

CHAPTER = BOOK / "the-odyssey-on-chorales.md"
ARMS = tuple(f"odyssey-jsb{arm}" for arm in ("", "-paired", "-seeds", "-wide", "-raw", "-unpublished"))


class Quick:
    """In place of the widget, whose forests take a minute; it has tests of its own."""

    def __init__(self, trials: Any, **_: Any) -> None:
        self.n = len(trials)

    def __str__(self) -> str:
        return f"widget of {self.n}"


def pages(monkeypatch: pytest.MonkeyPatch, results: Path) -> list[str]:
    """Run the chapter's cells on the studies of a folder; return what they show, in words."""
    shown: list[str] = []

    def display(*parts: Any) -> None:
        shown.extend(str(getattr(part, "description", "") or part) for part in parts)

    monkeypatch.setattr(finding, "_roots", lambda: [results])
    monkeypatch.setattr("IPython.display.display", display)
    monkeypatch.setattr(ok.explorers, "MarginalExplorer", Quick)
    scope: dict[str, Any] = {"display": display}
    for cell in re.findall(r"^```\{code-cell\}[^\n]*\n(.*?)^```$", CHAPTER.read_text(encoding="utf-8"), re.M | re.S):
        tree = ast.parse("\n".join(line for line in cell.splitlines() if not line.startswith(":")))
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, CHAPTER.name, "exec"), scope)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), CHAPTER.name, "eval"), scope)  # type: ignore[attr-defined]
            if value is not None:
                display(value)
    return shown


def test_without_a_study_every_section_says_what_it_waits_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shown = pages(monkeypatch, tmp_path)
    assert shown[0].startswith("Nobody knows yet: the 1,800 trainings are not published")
    for name in ARMS:
        assert any(f"**{name}** is not run yet" in words for words in shown), name
    assert sum("Not run yet: this waits for the study odyssey-jsb (1,800 trials)" in words for words in shown) > 5
    assert not any("nan" in words for words in shown)


def test_a_partial_study_is_named_with_its_number_and_draws_what_it_can(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made_up.write(tmp_path / "odyssey-jsb", n_per_cell=10)
    shown = pages(monkeypatch, tmp_path)
    assert shown[0].startswith("Too early to say: 90 of 1,800 trainings are in, 10 of each variant")
    assert any("is partial: 10 draws of each of 9 variants, 90 of 1,800 trials" in words for words in shown)
    assert any(words.startswith("Not yet: odyssey-jsb is partial, 90 trials so far.") for words in shown)
    assert any("widget of 90" in words for words in shown)
    captions = [words for words in shown if isinstance(words, str) and "Study odyssey-jsb" in words]
    assert captions and all(re.search(r"Study odyssey-jsb · 90 rows · [0-9a-f]{8}\.$", words) for words in captions)
    assert not any(re.search(r"\bnan\b", words) for words in shown)


def test_a_first_draw_that_no_cell_has_finished_is_no_trial_yet(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    frame = made_up.trials(3, study="odyssey-jsb").assign(in_prefix=False)
    made_up.write(tmp_path / "odyssey-jsb", frame)
    monkeypatch.setattr(finding, "_roots", lambda: [tmp_path])
    arm = ok.charts.arm(ok.list_studies().loc["odyssey-jsb"])
    assert arm.trials is None and "no draw finished in every cell yet" in arm.state()


def test_a_damaged_study_is_an_error_and_no_study_that_is_not_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = made_up.write(tmp_path / "odyssey-jsb", n_per_cell=5)
    (folder / "trials.parquet").write_bytes(b"PAR1 and nothing more")
    monkeypatch.setattr(finding, "_roots", lambda: [tmp_path])
    with pytest.raises(ok.StudyError):
        ok.charts.arm(ok.list_studies().loc["odyssey-jsb"])


def test_what_is_no_row_of_the_studies_is_no_arm() -> None:
    for study in ("odyssey-jsb", None, ok.list_studies(), pd.Series({"title": "a study"})):
        expected = rf"^got {type(study).__name__}, expected a row of ok\.list_studies\(\), e\.g\. .*first-light"
        with pytest.raises(ok.UsageError, match=expected):
            ok.charts.arm(study)


def test_a_complete_study_hides_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made_up.write(tmp_path / "first-light", n_per_cell=20)
    monkeypatch.setattr(finding, "_roots", lambda: [tmp_path])
    arm = ok.charts.arm(ok.list_studies().loc["first-light"])
    assert not arm.partial
    with pytest.raises(ok.UsageError, match="top="):
        arm.say(lambda t: str(ok.compare(t, top=0.05)))


def test_with_all_studies_everything_is_drawn_and_nothing_waits(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    whole = made_up.trials(200, study="odyssey-jsb")
    made_up.write(tmp_path / "odyssey-jsb", whole)
    made_up.write(tmp_path / "odyssey-jsb-paired", made_up.paired(made_up.trials(100, study="odyssey-jsb-paired")))
    twice = whole[whole["variant"].isin(["V", "CIFG"])]
    made_up.write(tmp_path / "odyssey-jsb-seeds", made_up.again(twice, study="odyssey-jsb-seeds"))
    made_up.write(tmp_path / "odyssey-jsb-wide", n_per_cell=100, variants=("V", "CIFG", "NFG", "NOAF"))
    made_up.write(tmp_path / "odyssey-jsb-raw", n_per_cell=200, variants=("V",), n_diverged=0)
    spec = ok.named_study("odyssey-jsb-unpublished")
    names = tuple(cell.name for cell in spec.variants)
    cells = made_up.trials(100, names[:-1], study=spec.name, n_diverged=0)
    last = made_up.trials(100, ("V",), study=spec.name, seed=1, n_diverged=0)
    last = last.assign(variant=names[-1], key=last["key"] + "c")
    made_up.write(tmp_path / spec.name, pd.concat([cells, last], ignore_index=True))
    shown = pages(monkeypatch, tmp_path)
    assert not [words for words in shown if "yet" in words or "waits" in words or "cannot tell" in words]
    assert shown[0].startswith("From 1,800 trainings: vanilla’s best tenth (20 trials) has a mean test loss of ")
    assert sum("complete: " in words for words in shown) == len(ARMS)
    assert any(words.startswith("At a setting taken at random, worse than vanilla: NFG (worse at ") for words in shown)
    assert any("Over new seeds the test loss of one setting has a standard deviation" in words for words in shown)
    assert any("complete: 10 settings of each of 2 variants, 10 seeds each." in words for words in shown)
    assert any("Optima" in words or "optima lie" in words for words in shown)
    assert any("momentum alone" in words for words in shown)


# ---- the numbers --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return made_up.trials(40, n_diverged=3)


def test_figure3_of_these_trials_is_that_of_the_selected_with_lost_ones_counted(table: pd.DataFrame) -> None:
    found = ok.beside_figure3(table).set_index("variant")
    chosen = ok.select_top(table, top=0.1).frame
    for name, cell in chosen.groupby("variant"):
        assert found.loc[name, "mean"] == pytest.approx(cell["test_metric"].mean())
        assert list(found.loc[name, ["q25", "median", "q75"]]) == pytest.approx(
            list(cell["test_metric"].quantile([0.25, 0.5, 0.75]))
        )
    assert found.loc["V", ["paper_mean", "paper_q75"]].tolist() == [8.55, 8.599]
    everything = ok.beside_figure3(table, best=False).set_index("variant")
    fgr = table[table["variant"].eq("FGR")]["test_metric"].fillna(88 * np.log(2))
    assert everything.loc["FGR", "lost"] == 3
    assert everything.loc["FGR", "mean"] == pytest.approx(fgr.mean(), rel=1e-6)


def test_a_stand_in_is_not_laid_beside_the_paper() -> None:
    with pytest.raises(ok.UsageError, match="bach-chorales: not a data set of the paper"):
        ok.beside_figure3(made_up.trials(40, tasks=("bach-chorales",)))


def test_the_best_trial_is_chosen_by_validation_and_shown_by_test(table: pd.DataFrame) -> None:
    best = ok.best_by_validation(table).iloc[0]
    row = table.loc[table["valid_metric"].idxmin()]
    assert (best["key"], best["test_metric"]) == (row["key"], row["test_metric"])
    assert (best["paper_variant"], best["paper_test_metric"]) == ("NIAF", 8.38)


def test_the_paper_s_own_estimate_is_that_of_single_trees_between_the_observed_ends(table: pd.DataFrame) -> None:
    kept = ok.Trials.from_frame(table, space=ok.ODYSSEY_SPACE)
    found = ok.paper_shares(kept).set_index("parameters")
    cell = table[table["variant"].eq("V")]
    model = ok.fanova(cell, space=ok.ODYSSEY_SPACE, estimand="tree", n_trees=100)
    ends = {name: (cell[f"params_{name}"].min(), cell[f"params_{name}"].max()) for name in ok.ODYSSEY_SPACE}
    expected = model.importances(measure=ends).set_index("parameters")["share"]
    assert found["share"].to_dict() == pytest.approx(expected.to_dict())
    assert found["share"].sum() == pytest.approx(1.0)
    assert found.loc["rest", "paper_share"] == pytest.approx(0.053)


def test_an_interaction_is_what_both_sides_leave_over_and_averages_out() -> None:
    surface = ok.known_surface("bench")
    model = ok.fanova(surface.trials(300, noise=0.1), target="loss", space=surface.space, n_trees=100)
    maps = ok.pair_effects(model, n_points=21)
    one = maps[maps["pair"].eq("learning_rate × hidden_size")]
    grid = one.pivot_table(index="quantile_x", columns="quantile_y", values="interaction").to_numpy()
    weights = np.ones(21)
    weights[[0, -1]] = 0.5
    assert np.abs(grid @ weights).max() < 1e-9 and np.abs(weights @ grid).max() < 1e-9
    # The truth of this pair is √0.08 · √3(2a − 1) · √3(2b − 1): positive where both are high.
    assert grid[-3:, -3:].mean() > 0.3 and grid[:3, -3:].mean() < -0.3


def test_a_choice_weighs_its_probability_and_a_constant_one_nothing_more() -> None:
    space = ok.SearchSpace(
        {
            "cell": ok.Categorical(choices=("a", "b", "c")),
            "depth": ok.UniformInteger(low=1, high=2),
            "one": ok.Categorical(choices=("only",)),
        }
    )
    rng = np.random.default_rng(0)
    frame = pd.DataFrame([space.from_unit(unit) for unit in rng.random((90, 3))])
    loss = frame["cell"].map({"a": 0.0, "b": 1.0, "c": 5.0}) * frame["depth"] + 0.1 * rng.standard_normal(90)
    model = ok.FunctionalANOVA(space=space, n_trees=100).fit(frame, loss)
    maps = ok.pair_effects(model)
    assert maps["interaction"].notna().all()
    assert maps.loc[maps["pair"].str.contains("one"), "interaction"].abs().max() < 1e-9
    for side in "xy":  # each choice is as probable as any other, so plain averages vanish
        along = maps.groupby(["pair", f"quantile_{side}"])["interaction"].mean()
        assert along.abs().max() < 1e-9


def test_the_sentences_say_the_numbers_of_the_tables() -> None:
    kept = ok.Trials.from_frame(made_up.trials(100, n_diverged=3), space=ok.ODYSSEY_SPACE)
    found = ok.beside_figure3(kept).set_index("variant")
    gap = 100 * (found.loc["V", "mean"] / 8.55 - 1)
    said = chorales.figure3_answer(kept)
    assert f"vanilla’s by {gap:+.1f} %".replace("-", "−") in said and "NFG" in said and "Off the paper’s scale" in said
    assert "8.38, a trial of NIAF" in chorales.best_answer(kept)
    comparison = ok.compare(kept, margin=0.05)
    drawn = ok.charts.boxes_beside_paper(kept, comparison).to_dict()["description"]
    (widest,) = re.findall(r"differ from the paper’s by [+−]([\d.]+ % at most \(\w+\))", said)
    assert widest in drawn and "leaving out NOAF, off its scale" in drawn
    told = chorales.verdicts_answer(kept, comparison)
    first = told.partition("The ledger")[0]
    for name in comparison.to_frame()["variant"]:
        assert len(re.findall(rf"\b{name}\b", first)) == 1
    assert isinstance(told, sentences.Sentence) and "(10 selected trials a variant)" in told


def test_where_the_ledger_decides_nothing_neither_sentence_nor_figure_does(table: pd.DataFrame) -> None:
    kept = ok.Trials.from_frame(table, space=ok.ODYSSEY_SPACE)
    comparison = ok.compare(kept, margin=0.05)
    with pytest.raises(ok.UsageError, match="have 4 trials, and the ledger decides nothing from fewer than 10"):
        chorales.verdicts_answer(kept, comparison)
    chart = ok.charts.boxes_beside_paper(kept, comparison).to_json()
    assert "different from vanilla?" not in chart and "too few trials to say" in chart


def test_our_boxes_beyond_the_edge_are_cut_there_and_marked_in_their_colour(table: pd.DataFrame) -> None:
    far = table.assign(test_metric=table["test_metric"].where(table["variant"].ne("NFG"), 40.0))
    chart = ok.charts.boxes_beside_paper(far, ok.compare(far, margin=0.05)).to_dict()
    (rows,) = [
        rows
        for rows in chart["datasets"].values()
        if rows[0].get("source") == "these trials" and "mean_drawn" in rows[0]
    ]
    edge = max(row["edge"] for row in rows)
    (cut,) = [row for row in rows if row["variant"] == "NFG"]
    assert {cut[f"{name}_drawn"] for name in ("q25", "median", "q75", "mean")} == {edge} and edge < 40
    assert (cut["words"], cut["mean"]) == ("↑ 40", 40.0)
    marks = [
        layer["encoding"]["color"]["field"]
        for panel in chart["concat"]
        for layer in panel["layer"]
        if layer["mark"]["type"] == "text" and "color" in layer["encoding"]
    ]
    assert marks == ["variant", "variant"]


def test_nothing_to_compare_is_said_and_a_best_trial_without_a_test_loss_too(table: pd.DataFrame) -> None:
    with pytest.raises(ok.UsageError, match="has no trials, expected"):
        ok.beside_figure3(table.iloc[:0])
    with pytest.raises(ok.UsageError, match="none of the 360 trials has a validation metric, expected"):
        ok.best_by_validation(table.assign(valid_metric=float("nan")))
    best = table["valid_metric"].idxmin()
    lost = table.assign(test_metric=table["test_metric"].mask(table.index == best))
    said = chorales.best_answer(ok.Trials.from_frame(lost, space=ok.ODYSSEY_SPACE))
    assert f"{table.loc[best, 'variant']} no finite loss" in said and "nan" not in said
    strangers = ok.beside_figure3(table).set_index("variant").assign(paper_mean=float("nan"))
    with pytest.raises(ok.UsageError, match="the paper prints no mean of"):
        mean_gaps(strangers)


def test_what_is_said_of_seeds_and_pairs_is_their_tables(table: pd.DataFrame) -> None:
    again = made_up.again(table[table["variant"].isin(["V", "NFG"])], study="again")
    kept = ok.Trials.from_frame(again)
    said = chorales.seeds_answer(kept, table)
    spread = ok.seed_spread(again, cap=61.0).set_index("variant")
    for name in ("V", "NFG"):
        row = spread.loc[name]
        assert f"{name} {row['seed_sd']:.3f} ({row['seed_low']:.3f} to {row['seed_high']:.3f})" in said
        assert f"{name} {100 * row['seed_share']:.0f} % (" in said
        assert f"{name} {row['mean']:.3f} ({row['mean_low']:.3f} to {row['mean_high']:.3f})" in said
        first = table[table["variant"].eq(name)].nsmallest(10, "valid_metric")["test_metric"].mean()
        assert f"{name} {first:.3f}" in said.partition("validation chose had")[2]
    alone = chorales.seeds_answer(kept, None)
    assert "nan" not in alone and "validation chose" not in alone
    flat = again.assign(test_metric=9.0 + 0.01 * np.sin(np.arange(len(again)) ** 2.0))
    assert "%, the settings not told apart, p = " in chorales.seeds_answer(ok.Trials.from_frame(flat), None)
    one = again[again["params_learning_rate"].isin(again.groupby("variant")["params_learning_rate"].first())]
    alone = chorales.seeds_answer(ok.Trials.from_frame(one), None)
    assert "all that can be seen, with one setting" in alone and "nan" not in alone

    pairs = made_up.paired(table)
    found = ok.compare_pairs(pairs).set_index("variant")
    told = chorales.pairs_answer(pairs)
    for name in found.index:
        assert f"{name} (worse at {found.loc[name, 'higher']} of 40, median " in told
    better = pairs.assign(test_metric=pairs["test_metric"] - 5 * pairs["variant"].eq("NP"))
    assert "; better than vanilla: NP (worse at 0 of 40, median −" in chorales.pairs_answer(better)


def test_an_optimum_at_the_end_of_the_range_is_no_optimum_and_one_near_the_box_s_end_lies_on_either_side() -> None:
    rng = np.random.default_rng(0)
    rates = 10 ** rng.uniform(-6, 0, 150)
    frame = made_up.trials(150, ("V", "CIFG", "NOAF"), n_diverged=0)
    places = {"V": -3.0, "CIFG": -1.9, "NOAF": -9.0}
    log = np.log10(rates)
    for name, place in places.items():
        here = frame["variant"].eq(name)
        frame.loc[here, "params_learning_rate"] = rates
        frame.loc[here, "test_metric"] = 9 + 0.2 * (log - place) ** 2 + 0.05 * rng.standard_normal(150)
    said = chorales.optimum_answer(ok.Trials.from_frame(frame))
    assert "within the paper’s box: V;" in said
    assert "on either side of 10⁻², as far as these trials can tell: CIFG" in said
    assert "The smoothed test loss of NOAF is lowest at an end of what was tried" in said
    only = chorales.optimum_answer(ok.Trials.from_frame(frame[frame["variant"].eq("NOAF")]))
    assert "NOAF is lowest at an end" in only and "These optima" not in only


def test_the_chapter_says_whom_the_ledger_s_own_tests_tell_from_vanilla() -> None:
    kept = ok.Trials.from_frame(made_up.trials(100, n_diverged=3), space=ok.ODYSSEY_SPACE)
    told = chorales.verdicts_answer(kept, ok.compare(kept, margin=0.05))
    parts = ok.check_claims("O1", evidence=ok.Evidence(studies={"odyssey-jsb": kept}))["O1"].parts
    worse = [part.label.split(" ")[0] for part in parts if part.low > 0 and part.details["p_bonferroni"] < 0.05]
    assert worse and f"on this study alone, {', '.join(worse)} are worse." in told


class Weak:
    """A model that predicts too little to rank, whose first share has no interval."""

    oob_r2_ = 0.1
    n_trials_ = 40
    n_set_to_worst_ = 0
    cap = 61.0

    def importances(self, _: int = 1) -> pd.DataFrame:
        names = ["learning_rate", "momentum", "learning_rate × momentum"]
        nothing = [float("nan")] * 3
        return pd.DataFrame(
            {"parameters": names, "share": [0.5, -0.02, 0.1], "low": nothing, "high": nothing, "rank": nothing}
        ).assign(note="40 trials")


def test_a_weak_forest_gives_no_order_and_no_share_below_zero() -> None:
    paper = pd.DataFrame({"parameters": ["learning_rate", "momentum"], "paper_share": [0.9, 0.1]})
    said = chorales.shares_answer(Weak(), paper)
    assert "too little to rank the shares (R² of trials not seen 0.10)" in said and "order here is" not in said
    waiting = ok.charts.Arm(name="later", title="", planned=10, why="not run")
    told = chorales.momentum_answer(Weak(), waiting)
    assert "momentum alone 0.0 % (no interval yet)" in told and "n = 40, R² = 0.10" in told
    assert "90 % interval" not in told and "diverged" not in told
    lost = Weak()
    lost.n_set_to_worst_ = 1
    told = chorales.momentum_answer(lost, waiting)
    assert "1 trial diverged and counts as the worst finite loss here; the ledger counts it as 61 nats" in told


def test_the_answer_is_too_early_by_the_number_selected_and_hides_no_other_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made_up.write(tmp_path / "odyssey-jsb", n_per_cell=30)
    monkeypatch.setattr(finding, "_roots", lambda: [tmp_path])
    arm = ok.charts.arm(ok.list_studies().loc["odyssey-jsb"])
    assert arm.cap == pytest.approx(88 * np.log(2), abs=1e-4)

    def refuse(*_: Any) -> Any:
        raise ok.UsageError("another reason")

    monkeypatch.setattr(chorales.analysis, "best_by_validation", refuse)
    assert chorales.column_answer(arm).endswith("(another reason)")

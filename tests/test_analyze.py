"""`ok.analyze` and `odyssey analyze`: advice that follows from the numbers, for studies and for anybody's file."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import made_up
import numpy as np
import pandas as pd
import pytest
from own_tables import own_table

import odyssey_kit as ok
from odyssey_kit.analysis.advice import _little_words, advice_of, basin_of_curve, basin_words
from odyssey_kit.analysis.surfaces import SURFACES

browser = pytest.importorskip("browser", reason="playwright is not installed")


def odyssey(*arguments: str, folder: Path, code: int = 0) -> str:
    run = subprocess.run(
        [sys.executable, "-m", "odyssey_kit", "analyze", *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
    )
    assert run.returncode == code, run.stderr
    return run.stdout if code == 0 else run.stderr


def shares_of(found: dict) -> dict[str, dict]:
    return {row["parameters"]: row for row in found["importances"]}


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """Return a folder with a study, somebody's CSV file and a search space."""
    folder = tmp_path_factory.mktemp("files")
    made_up.write(folder / "study", variants=("V", "NFG"), n_per_cell=80, n_diverged=0)
    surface = SURFACES["choices"]
    table = surface.trials(200, seed=1).rename(columns={"loss": "error"})
    table.to_csv(folder / "runs.csv", index=False)
    table.drop(columns="dropout").to_parquet(folder / "runs.parquet")
    own = own_table()
    own.assign(accuracy=-own["loss"], dev=-own["dev"]).to_csv(folder / "own.csv", index=False)
    (folder / "space.json").write_text(json.dumps(surface.space.to_dict()), encoding="utf-8")
    return folder


def test_a_study_gets_shares_a_comparison_and_advice(files):
    shown = odyssey("study", folder=files)
    assert max(map(len, shown.splitlines())) <= 100
    first = next(line for line in shown.splitlines() if line.startswith("learning_rate"))
    assert " %" in first
    assert "- Tune learning_rate first: alone it explains" in shown
    assert "1 comparison with V within each task" in shown
    assert "160 trials, lower is better\n" in shown
    assert first.split()[-2:] == ["<1e-4", "1"]
    # NFG is 0.6 worse in every made-up trial.
    assert "best 10 % by validation: different: NFG." in " ".join(shown.split())


def test_json_has_everything_and_no_words_for_missing_numbers(files):
    found = json.loads(odyssey("study", "--json", "--margin", "0.2", folder=files))
    assert set(found) == {"name", "advice", "notes", "direction", "counts", "importances", "basins", "comparison"}
    assert found["direction"] == "minimize"
    counts = {"trials": 160, "diverged": 0, "failed": 0, "set_to_worst": 0, "capped": 0}
    assert found["counts"] == [{"task": "jsb-chorales", **counts}]
    # Words have tiny p-values as such; a program gets the number.
    assert shares_of(found)["learning_rate"]["p_holm"] < 1e-4
    shares = shares_of(found)
    assert shares["learning_rate"]["low"] < 0.60 * 0.36 / (0.36 + 0.09) < shares["learning_rate"]["high"]
    assert shares["rest"]["p"] is None
    assert found["comparison"][0]["verdict"] == "different"


def test_somebodys_file_needs_only_a_target_and_hyperparameters(files):
    names = "learning_rate,optimiser,layers,dropout"
    shown = odyssey("runs.csv", "--target", "error", "--parameters", names, folder=files)
    assert "note: The search space was guessed from the values: learning_rate LogUniform" in shown
    assert "The shares have no intervals: it is not known from which space" in " ".join(shown.split())
    told = odyssey("runs.csv", "--target", "error", "--space", "space.json", folder=files)
    assert "90 % interval" in told
    assert "guessed" not in told
    # The optimum of two optimisers of three is at 0.6 of four decades from 1e-5.
    table = ok.analyze(ok.read_table(files / "runs.csv"), target="error", space=ok.read_space(files / "space.json"))
    row = table.basins.set_index("parameter").loc["learning_rate"]
    assert row["low"] < 1e-5 * 10 ** (4 * 0.6) < row["high"]
    assert table.basins.set_index("parameter").loc["layers", "best"] == 4
    parquet = odyssey("runs.parquet", "--target", "error", "--parameters", "learning_rate,layers", folder=files)
    assert "Tune learning_rate first" in parquet


def test_the_report_opens_without_a_network(files, chromium):
    odyssey("study", "--html", "out/report.html", folder=files)
    page = files / "out" / "report.html"
    assert page.stat().st_size < 2_000_000
    with browser.Visit(chromium, browser.DESKTOP) as visit:
        visit.page.goto(page.as_uri())
        visit.page.wait_for_selector("#chart-0 svg")
        visit.page.wait_for_selector("#chart-2 svg")
        assert "Tune learning_rate first" in visit.page.inner_text("main")
        assert "learning rate" in visit.page.inner_text("#chart-0")
        assert visit.problems == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing.csv"], "no study is called 'nothing.csv'|no such file"),
        (["runs.csv"], "no column begins with 'params_'; say which are hyperparameters"),
        (["runs.csv", "--parameters", "rate"], "the table has no column 'rate'; it has: learning_rate"),
        (["runs.csv", "--parameters", "layers"], "target 'test_metric' does not exist"),
        (["runs.csv", "--space", "runs.csv"], "is no search space"),
        (["study", "--variant", "NP"], "no trials of variant 'NP' in"),
        (["own.csv", "--html", "."], r"--html is \., which is a folder; give a file in it, such as report\.html"),
        (["own.csv", "--html", "own.csv/report.html"], "cannot be written .*; give a file in a folder of yours"),
        (["own.csv", "--parameters", "rate,rate"], "hyperparameter 'rate' is named more than once"),
        (["own.csv", "--parameters", "rate", "--variant-column", "cell"], "the table has no column 'cell'; it has: "),
        (
            ["own.csv", "--parameters", "rate", "--sampling", "often", "--target", "loss"],
            "sampling is 'often', expected",
        ),
    ],
)
def test_what_cannot_be_analysed_says_why(files, arguments, said):
    error = odyssey(*arguments, folder=files, code=2)
    assert re.search(said, error)
    assert error.count("\n") == 1


def test_somebodys_file_says_what_is_compared_and_which_way_is_better(files):
    names = ["--parameters", "rate,drop", "--variant-column", "model", "--top", "0.2"]
    asked = [*names, "--target", "accuracy", "--maximize", "--valid", "dev", "--groups", "draw", "--random-state", "1"]
    shown = " ".join(odyssey("own.csv", *asked, "--sampling", "random", folder=files).split())
    assert "120 trials, higher is better" in shown
    assert "The best rate is" in shown and "0.01, on average" in shown
    assert "Against lstm, best 20 % by dev: different: gru." in shown
    assert "60 independent trials; intervals were measured at 100" in shown
    assert "flatter" not in shown and "sounds like" not in shown


# ---- words ----------------------------------------------------------------------------------


def test_a_table_of_noise_gets_a_reason_and_no_empty_cells(tmp_path):
    rng = np.random.default_rng(0)
    columns = {"params_a": rng.random(60), "params_b": rng.random(60), "loss": rng.normal(size=60)}
    pd.DataFrame(columns).to_csv(tmp_path / "noise.csv", index=False)
    shown = odyssey("noise.csv", "--target", "loss", "--html", "noise.html", folder=tmp_path)
    assert "without intervals" in shown and "No shares: the interval of the total variance reaches zero" in shown
    assert "p (Holm)" not in shown
    assert "No shares: the interval" in (tmp_path / "noise.html").read_text(encoding="utf-8")


def test_advice_says_what_is_not_known():
    rng = np.random.default_rng(0)
    noise = pd.DataFrame({"params_a": rng.random(120), "params_b": rng.random(120), "loss": rng.standard_normal(120)})
    found = ok.analyze(noise, target="loss", space=ok.SearchSpace({n: ok.Uniform(low=0, high=1) for n in "ab"}))
    assert len(found.advice) == 1
    assert "hardly predicts loss" in found.advice[0]


def test_advice_says_what_to_tune_together_and_what_to_leave():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.random((400, 3)), columns=["params_a", "params_b", "params_c"])
    loss = 4 * (X["params_a"] - 0.5) * (X["params_b"] - 0.5) + X["params_a"] + 0.05 * rng.standard_normal(400)
    space = ok.SearchSpace({n: ok.Uniform(low=0, high=1) for n in "abc"})
    found = ok.analyze(X.assign(loss=loss), target="loss", space=space)
    words = " ".join(found.advice)
    assert "Tune a first" in words
    assert "Tune a and b together" in words
    assert "Leave c where it is" in words
    assert "Leave b" not in words
    assert "reaches the lower end" in words


def test_advice_takes_a_missing_interval_for_no_answer_and_a_small_pair_for_small():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.random((400, 3)), columns=["params_a", "params_b", "params_c"])
    loss = X["params_a"] + 0.4 * (X["params_a"] - 0.5) * (X["params_b"] - 0.5) + 0.01 * rng.standard_normal(400)
    space = ok.SearchSpace({n: ok.Uniform(low=0, high=1) for n in "abc"})
    found = ok.analyze(X.assign(loss=loss), target="loss", space=space)
    words = " ".join(found.advice)
    assert "a and b act together, but little: beyond what each does alone they explain 1 %" in words
    assert "together: beyond" not in words.replace("act together, but little", "")
    assert "Leave c where it is: alone it explains at most 0 %, and in no pair more than" in words
    unknown = " ".join(ok.analyze(X.assign(loss=loss), target="loss", space=space, sampling="unknown").advice)
    assert "Not clear" not in unknown and "Leave" not in unknown
    assert "The shares have no intervals" in unknown


def test_advice_does_not_take_what_was_not_seen_for_absent():
    row = {"parameters": "b", "high": 0.03}
    pairs = pd.DataFrame({"parameters": ["a × b", "b × c", "a × c"], "high": [0.02, 0.08, 0.5]})
    assert "not settled: alone it explains at most 3 %, but b × c may explain up to 8 %" in _little_words(row, pairs)
    assert "in no pair more than 2 %" in _little_words(row, pairs.iloc[[0]])
    assert _little_words(row, pairs.iloc[:0]) == (
        "Leave b where it is: alone it explains at most 3 % (upper end of its 90 % interval)."
    )


def test_the_best_of_a_grid_says_when_it_is_the_last():
    curve = pd.DataFrame({"parameter": "rate", "value": [0.001, 0.01, 0.1], "mean": [1.0, 5.0, 9.0]})
    words = basin_words(basin_of_curve(curve))
    assert words == (
        "The best rate is 0.001, on average over the other settings; it reaches the lower end of what was tried."
    )


def test_what_is_tuned_first_is_not_called_unclear():
    effects = {"parameters": ["a", "b", "rest"], "order": [1, 1, 0], "share": [0.12, 0.08, 0.8], "note": ""}
    table = pd.DataFrame({**effects, "low": [0.0, 0.0, 0.5], "high": [0.3, 0.2, 0.9], "p_holm": [0.2, 0.3, np.nan]})
    model = SimpleNamespace(
        importances=lambda order: table, parameters_=("a", "b"), oob_r2_=0.3, target="loss", n_trials_=120
    )
    lines = advice_of(model, pd.DataFrame({"parameter": []}))
    assert lines[0].startswith("Tune a first: alone it explains 12 %")
    assert any(line.startswith("Not clear from 120 trials whether it matters alone: b (8 %") for line in lines)
    assert not any("a (12 %" in line for line in lines)


def test_choices_have_no_neighbours():
    curve = pd.DataFrame({"parameter": "x", "value": ["a", "b", "c", "d"], "mean": [1.1, 9.0, 1.0, 5.0]})
    found = basin_of_curve(curve)
    assert (found["best"], found["low"], found["high"], found["as_good"]) == ("c", "c", "c", ("a",))
    assert not found["open_low"] and not found["open_high"]
    assert basin_words(found) == "The best x is c, on average over the other settings; about as good: a."
    # Numbers that are choices are walked in their order, whatever the order they were given in.
    shuffled = pd.DataFrame({"parameter": "x", "value": [32, 8, 128, 64], "mean": [1.05, 9.0, 5.0, 1.0]})
    found = basin_of_curve(shuffled)
    assert (found["best"], found["low"], found["high"], found["as_good"]) == (64, 32, 64, ())


def test_a_basin_is_read_off_a_curve():
    curve = pd.DataFrame({"parameter": "x", "value": [1, 2, 3, 4, 5], "mean": [9.0, 1.5, 1.0, 1.2, 11.0]})
    found = basin_of_curve(curve)
    assert (found["best"], found["low"], found["high"]) == (3, 2, 4)
    assert not found["open_low"]
    assert not found["open_high"]
    rising = basin_of_curve(curve.assign(mean=[1.0, 2, 3, 4, 5]))
    assert (rising["best"], rising["open_low"], rising["open_high"]) == (1, True, False)


# ---- known surfaces, counted coverage, the toy --------------------------------------------------


@pytest.mark.parametrize("name", SURFACES)
def test_the_truth_of_a_surface_is_what_sampling_finds(name):
    # Sobol's estimate of a main effect: the covariance of two draws that share one coordinate.
    surface = SURFACES[name]
    first, second = surface.draw(100_000, 1, 0.0)[0], surface.draw(100_000, 2, 0.0)[0]
    mean, sd = surface.scale
    for k in range(len(surface.space)):
        mixed = second.copy()
        mixed[:, k] = first[:, k]
        a, b = ((surface.raw(u) - mean) / sd for u in (first, mixed))
        assert np.cov(a, b)[0, 1] == pytest.approx(surface.truth[k], abs=0.02)


def test_the_counted_coverage_names_its_terms():
    counted = ok.measured_coverage()
    assert {"bench", "cliff", "additive", "choices", "variants"} <= set(counted["surface"])
    bench = counted.query("surface == 'bench' and n == 200 and noise == 0.3 and repeats == 1")
    assert bench["parameters"].tolist()[0] == "learning_rate"
    assert len(bench) == 10
    assert (counted["data_sets"] >= 100).all()


def test_the_toy_forest_has_the_boxes_of_its_trees():
    widget = ok.explorers.toy_forest()
    for tree in widget.forest["trees"]:
        cuts = [np.array([0, *inner, 1]) for inner in tree["cuts"]]
        sides = [cut[stop] - cut[start] for cut, start, stop in zip(cuts, tree["start"], tree["stop"], strict=True)]
        assert (sides[0] * sides[1]).sum() == pytest.approx(1, abs=1e-6)


def test_a_touched_box_moves_the_shares(chromium, built_book):
    with browser.Visit(chromium, browser.DESKTOP) as visit:
        visit.open(f"{built_book.as_uri()}/how-fanova-works.html")
        words = visit.page.locator(".odyssey-toy .words")
        before = words.inner_text()
        assert "Of the variance, learning rate alone explains" in before
        # The numbers are those of the tree in Python.
        trees = ok.explorers.toy_forest().forest["trees"]
        assert visit.page.locator(".odyssey-toy rect.box").count() == len(trees[0]["value"])
        visit.page.locator(".odyssey-toy rect.box").first.click()
        assert words.inner_text() != before
        visit.page.locator(".odyssey-toy button", has_text="reset").click()
        assert words.inner_text() == before
        visit.page.locator(".odyssey-toy button", has_text="their average").click()
        assert words.inner_text() != before
        assert visit.problems == []

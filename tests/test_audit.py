"""Published trials, drawn at random and trained again, are what they say; and the audit would notice if not."""

from __future__ import annotations

import os
from dataclasses import replace

import pandas as pd
import pytest

import odyssey_kit as ok

pytest.importorskip("numba", reason="a study needs the extra [train]")

import fake_work

from odyssey_kit.search import audit, export, open_for_writing, published_folder
from odyssey_kit.search.audit import PERTURBATION, Audit, judge
from odyssey_kit.training import EpochRow

STUDY = fake_work.study(n_trials=10)


def curve(*metrics: float) -> list[EpochRow]:
    rows = fake_work.result(STUDY.plan()[0], epochs=len(metrics)).curve
    return [replace(row, valid_metric=metric) for row, metric in zip(rows, metrics, strict=True)]


# ---- the rule -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("published", "again", "moved", "same_place", "verdict"),
    [
        ((9.0, 8.0), (9.0, 8.0), (9.0, 8.1), True, "identical"),
        ((9.0, 8.0), (9.0, 8.0), (9.0, 8.1), False, "identical"),
        ((9.0, 8.0), (9.0, 8.0 + 1e-12), (9.0, 8.1), True, "DIFFERENT"),
        ((9.0, 8.0), (9.0, 8.009), (9.001, 8.010), False, "within"),
        ((9.0, 8.0), (9.0, 8.02), (9.001, 8.021), False, "DIFFERENT"),
        ((9.0, 8.0), (9.0 + 9e-6, 8.0), (9.0 + 9e-6, 8.0), False, "within"),
        ((9.0, 8.0), (9.0 + 2e-5, 8.0), (9.0 + 2e-5, 8.0), False, "DIFFERENT"),
        ((9.0, 8.0), (9.0, 8.5), (9.0, 8.52), False, "chaotic"),
        ((9.0, 8.0), (9.0, 8.5), (9.0,), False, "chaotic"),
        ((9.5, 8.0), (9.0, 8.5), (9.001, 8.52), False, "DIFFERENT"),
        ((9.0,), (9.0, 8.5), (9.0, 8.5), False, "DIFFERENT"),
        ((9.0,), (9.0, 8.5), (9.0, 8.5), True, "DIFFERENT"),
        ((9.0,), (9.0,), (9.0,), True, "identical"),
        ((), (), (), True, "identical"),
        ((), (), (), False, "identical"),
    ],
)
def test_identical_here_within_ten_times_the_spread_elsewhere(published, again, moved, same_place, verdict):
    found = judge(curve(*published), curve(*again), curve(*moved), same_place=same_place, epochs=2)
    assert found["verdict"] == verdict


def test_only_the_first_epochs_of_a_curve_are_compared():
    assert judge(curve(9.0, 8.0, 7.0), curve(9.0), curve(9.0), same_place=True, epochs=1)["verdict"] == "identical"


def test_another_number_of_the_same_epoch_is_noticed_too():
    again = [replace(row, train_loss=row.train_loss + 1e-9) for row in curve(9.0, 8.0)]
    assert judge(curve(9.0, 8.0), again, curve(9.0, 8.0), same_place=True, epochs=2)["verdict"] == "DIFFERENT"


def test_a_test_metric_that_is_no_number_both_times_is_the_same():
    rows = [replace(row, test_metric=float("nan")) for row in curve(9.0, 8.0)]
    assert judge(rows, rows, curve(9.0, 8.1), same_place=True, epochs=2)["verdict"] == "identical"
    assert judge(curve(9.0, 8.0), rows, curve(9.0, 8.1), same_place=True, epochs=2)["verdict"] == "DIFFERENT"


@pytest.mark.parametrize(
    ("verdicts", "passes"),
    [
        (["identical"] * 4, True),
        (["within"] * 3 + ["chaotic"], True),
        (["within"] * 2 + ["chaotic"] * 2, False),
        (["identical"] * 9 + ["DIFFERENT"], False),
    ],
)
def test_it_passes_if_none_differs_and_a_quarter_at_most_is_chaotic(verdicts, passes):
    assert Audit("x", pd.DataFrame({"verdict": verdicts}), 0).passes is passes


# ---- what is drawn --------------------------------------------------------------------------


@pytest.fixture
def results(tmp_path):
    """Publish a made-up study in which one trial failed and some diverged."""
    with open_for_writing(STUDY, tmp_path / "fake.sqlite") as store:
        for spec in STUDY.plan():
            failed = ok.TrialResult(key=spec.key, state="FAILED", metric="", error="made up")
            store.add(spec, failed if spec.index == 2 else fake_work.quick(spec))
        export(STUDY, store, published_folder("fake", tmp_path))
    return tmp_path


def again(spec: ok.TrialSpec, epochs: int, perturbation: float) -> list[EpochRow]:
    moved = 0.0 if not perturbation else 1e-4
    return [replace(row, valid_metric=row.valid_metric + moved) for row in fake_work.quick(spec).curve[:epochs]]


def test_trials_are_drawn_at_random_and_failed_ones_are_counted_apart(results):
    asked = []

    def rerun(spec: ok.TrialSpec, epochs: int, perturbation: float) -> list[EpochRow]:
        asked.append((spec.key, epochs, perturbation))
        return again(spec, epochs, perturbation)

    found = audit("fake", trials=6, epochs=1, progress=False, results=results, rerun=rerun)
    assert found.passes
    assert (len(found.trials), found.failed) == (6, 2)
    assert set(found.trials["verdict"]) == {"identical"}
    assert {perturbation for *_, perturbation in asked} == {0.0, PERTURBATION}
    assert {epochs for _, epochs, _ in asked} == {1}
    other = audit("fake", trials=6, epochs=1, seed=1, progress=False, results=results, rerun=again)
    assert set(other.trials["key"]) != set(found.trials["key"])
    whole = audit("fake", trials=100, epochs=1, progress=False, results=results, rerun=again)
    assert len(whole.trials) == 18
    assert "18 published trials trained again: 18 identical, 0 within" in str(whole)


def test_a_number_that_was_changed_by_hand_is_noticed(results):
    def rerun(spec: ok.TrialSpec, epochs: int, perturbation: float) -> list[EpochRow]:
        rows = again(spec, epochs, perturbation)
        return [replace(row, valid_metric=row.valid_metric - 0.05) for row in rows] if spec.index == 4 else rows

    found = audit("fake", trials=100, epochs=2, progress=False, results=results, rerun=rerun)
    assert not found.passes
    different = found.trials[found.trials["verdict"] == "DIFFERENT"]
    assert len(different) == 2
    assert different["difference"].tolist() == pytest.approx([0.05, 0.05])


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"trials": 0}, "trials is 0, expected at least 1"), ({"epochs": 0}, "epochs is 0, expected at least 1")],
)
def test_nothing_to_train_is_refused(results, settings, said):
    with pytest.raises(ok.UsageError, match=said):
        audit("fake", results=results, **settings)


def test_what_is_not_published_cannot_be_audited(tmp_path):
    with pytest.raises(ok.StudyError, match=r"nothing is published in .*fake; next: odyssey export fake"):
        audit("fake", results=tmp_path)


# ---- real trials ----------------------------------------------------------------------------

needs_data = pytest.mark.skipif(not os.environ.get("ODYSSEY_DATA"), reason="trains on jsb-chorales: set ODYSSEY_DATA")
HERE = published_folder("first-light")


@needs_data
@pytest.mark.skipif(not (HERE / "trials.parquet").exists(), reason="results_cache/first-light is not here")
def test_a_sample_of_first_light_is_what_was_published():
    found = audit("first-light", trials=5, epochs=1, seed=3, progress=False)
    assert found.passes, found.trials.to_string()


@needs_data
@pytest.mark.slow
@pytest.mark.skipif(not (HERE / "trials.parquet").exists(), reason="results_cache/first-light is not here")
def test_a_quarter_of_first_light_is_what_was_published():
    found = audit("first-light", trials=45, epochs=3, seed=4, progress=False)
    assert found.passes, found.trials.to_string()


@needs_data
def test_the_first_epochs_again_are_those_of_the_trial_and_a_hair_moves_them():
    from odyssey_kit.training import first_epochs, run_trial

    spec = replace(fake_work.study(protocol=ok.Protocol(max_epochs=2)).plan()[-1], params={**STUDY.plan()[-1].params})
    whole = [replace(row, seconds=0.0, is_best=False) for row in run_trial(spec).curve]
    again = [replace(row, seconds=0.0) for row in first_epochs(spec, 2)]
    assert again == whole
    (moved,) = first_epochs(spec, 1, perturbation=1e-7)
    assert 0 < abs(moved.valid_metric - whole[0].valid_metric) < 1

"""The papers' own numbers: whole, and what follows from them."""

from __future__ import annotations

import numpy as np
import pytest

import odyssey_kit as ok
from odyssey_kit.analysis import list_published, published_errata, retest_published
from odyssey_kit.analysis.claims import claims
from odyssey_kit.analysis.published import detectable_effect


def test_every_table_has_a_source_and_an_error() -> None:
    for name in list_published().index:
        table = ok.load_published(name)
        assert len(table.frame) and table.source and table.error, name


def test_figure_3_has_every_box_in_the_order_of_its_quantiles() -> None:
    frame = ok.load_published("odyssey-figure3").frame
    assert frame.groupby(["task", "selection"]).size().tolist() == [9] * 6
    inside = frame[frame["off_scale"].eq("")]
    quantiles = inside[["min", "q25", "median", "q75", "max"]].to_numpy(float)
    assert (np.diff(quantiles, axis=1) >= 0).all()
    painted = frame[frame["painted_significant"]]
    assert len(painted[painted["selection"].eq("best tenth")]) == 13


def test_off_scale_values_are_lower_bounds() -> None:
    frame = ok.load_published("odyssey-figure3").frame.set_index(["task", "selection", "variant"])
    row = frame.loc[("timit", "best tenth", "NOAF")]
    assert row["off_scale"].split() == ["mean", "median", "max"] and row["mean"] == 35


def test_shares_of_figure_5_add_up() -> None:
    shares = ok.load_published("odyssey-figure5").frame.groupby("task")["share"].sum()
    assert shares.between(99.8, 100.2).all()


def test_marginals_of_figure_4_are_whole() -> None:
    frame = ok.load_published("odyssey-figure4").frame
    counts = frame.groupby(["parameter", "quantity"]).size()
    assert counts["learning_rate", "metric"] == 27 and counts["input_noise_std", "metric"] == 33
    assert frame["marginal"].notna().all()


def test_one_painted_box_does_not_stand_a_retest() -> None:
    tests = retest_published().set_index(["task", "variant"])
    wrong = tests[tests["agrees"].eq(False)]
    assert wrong.index.tolist() == [("jsb-chorales", "NFG")]
    assert wrong["p_bonferroni"].item() == pytest.approx(0.35, abs=0.01)
    assert tests.loc[("iam-ondb", "FGR"), "p_bonferroni"] == pytest.approx(0.05, abs=0.005)
    assert tests["d"].abs().dropna().between(0.03, 7).all()


def test_twenty_a_side_see_large_differences_only() -> None:
    found = [detectable_effect(n) for n in (10, 20, 40, 60, 100, 200)]
    assert found == pytest.approx([1.79, 1.19, 0.82, 0.66, 0.51, 0.36], abs=0.006)


def test_errata_bear_on_claims_that_exist() -> None:
    frame = published_errata()
    assert frame.groupby("paper").size().to_dict() == {"odyssey": 11, "breuel": 7}
    assert set(frame["bears_on"]) - {""} <= set(claims())
    with pytest.raises(ok.UsageError, match="no paper is called 'hochreiter'"):
        published_errata("hochreiter")


def test_an_unknown_table_is_named() -> None:
    with pytest.raises(ok.UsageError, match="no published table is called 'figure-9'; there are: odyssey-figure3"):
        ok.load_published("figure-9")

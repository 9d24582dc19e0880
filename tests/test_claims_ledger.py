"""The ledger as data: whole, consistent with the code that reads it, and decided by nothing that was not named."""

from __future__ import annotations

import hashlib
import html
import inspect
import json
import os
import subprocess
import sys
from functools import partial
from itertools import pairwise
from pathlib import Path

import made_up
import made_up_claims as made
import numpy as np
import pandas as pd
import pytest

import odyssey_kit as ok
from odyssey_kit.analysis.claims import VERDICTS, Claim, Evidence, Verdicts, claims, conventions
from odyssey_kit.analysis.claims.evidence import measured
from odyssey_kit.analysis.claims.reach import OF_SHARES, least_of, reach
from odyssey_kit.analysis.claims.records import records
from odyssey_kit.analysis.claims.rules import RULES
from odyssey_kit.analysis.claims.verdicts import NOT_OF_THE_RULE
from odyssey_kit.analysis.trials import Trials
from odyssey_kit.cli.claims import _whole, check

OF_BEST_TENTHS = {
    "best_condition",
    "better_at_every_size",
    "condition_difference",
    "difference",
    "equivalence",
    "interaction",
    "no_effect_on_best",
    "non_inferiority",
    "probability_of_best",
    "setting_hurts",
    "setting_without_effect",
    "slightly_better",
}
ROOT = Path(__file__).resolve().parents[1]


def test_all_67_claims_are_there_in_order() -> None:
    assert list(claims()) == [*(f"O{i}" for i in range(1, 41)), *(f"B{i}" for i in range(1, 28))]


@pytest.mark.parametrize("name", list(claims()))
def test_a_claim_fits_the_code_that_decides_it(name: str) -> None:
    claim = claims()[name]
    known = conventions()
    assert claim.claim.endswith(".") and claim.reproduced_if and claim.contradicted_if and claim.needs
    assert claim.family in known.families
    assert claim.studies and set(claim.studies) | set(claim.pooled_with) <= set(known.studies)
    roles = {known.tasks[known.studies[study].task].role for study in claim.studies}
    assert tuple(claim.settings.get("each", claim.studies)) == tuple(claim.studies), "studies that decide apart are all"
    assert roles & set(claim.roles), "no study of the claim is on a task that it speaks of"
    if claim.quantity == "conjunction":
        assert set(claim.settings["of"]) < set(claims())
        return
    inspect.signature(RULES[claim.quantity]).bind(
        None, **{key: value for key, value in claim.settings.items() if key not in NOT_OF_THE_RULE}
    )


def test_every_rule_belongs_to_a_claim() -> None:
    assert set(RULES) == {claim.quantity for claim in claims().values()} - {"conjunction"}


def test_a_family_counts_at_least_the_claims_in_it() -> None:
    for family, entry in conventions().families.items():
        members = [claim for claim in claims().values() if claim.family == family]
        assert members, family
        if family != "cells":  # the comparisons with vanilla are eight, whatever is claimed of them
            assert len(members) <= entry["decisions"], family


def test_a_family_of_the_report_counts_every_comparison_of_its_claims() -> None:
    """A claim that divides its own error among its parts (bins, studies, pairs) is one decision."""

    def decisions(claim: Claim) -> int:
        lists = [claim.settings.get(name, [0]) for name in ("variants", "outputs", "best", "others", "ctc")]
        return 0 if claim.quantity == "conjunction" else int(np.prod([len(entries) for entries in lists]))

    for family, entry in conventions().families.items():
        members = [claim for claim in claims().values() if claim.family == family]
        if all(claim.paper == "breuel" for claim in members):
            assert sum(map(decisions, members)) == entry["decisions"], family


@pytest.fixture(scope="module")
def published() -> Verdicts:
    """Give the verdicts of the published studies, checked once."""
    return ok.check_claims()


def test_first_light_is_no_study_of_the_ledger_and_decides_nothing(published: Verdicts) -> None:
    assert "first-light" not in conventions().studies
    assert "first-light" not in Evidence.published().studies
    for item in published:
        assert "first-light" not in item.studies


def test_a_study_that_is_named_has_the_trials_that_the_ledger_prices() -> None:
    search = pytest.importorskip("odyssey_kit.search", reason="the extra [train] is not installed")
    derived = {"odyssey-jsb-seeds", "breuel-momentum-seeds"}  # planned from another study's trials
    priced = conventions().studies
    ready = {name for name, study in priced.items() if not study.waits_for}
    assert ready - derived == set(priced) & set(search.STUDIES), "named, or says what it waits for"
    for name in ready - derived:
        study = search.STUDIES[name]
        assert len(study.plan()) == priced[name].trials and study.tasks == (priced[name].task,), name


def _sides(claim: Claim, rows: pd.DataFrame) -> list[int]:
    """Return how many trials of a plan stand on each side of a rule's comparisons, or count for its share."""
    settings = claim.settings
    if claim.quantity == "slow_not_overtrained":
        size, rate = rows["hidden_size"], rows["learning_rate"]
        return [int((size.ge(size.quantile(0.75)) & rate.le(rate.quantile(0.25))).sum())]
    if claim.quantity in OF_SHARES:
        return [len(rows)]
    if claim.quantity in {"setting_hurts", "setting_without_effect"}:
        values = settings.get("values", [settings.get("off"), settings.get("on")])
        vanilla = rows[rows["variant"].eq("V")]
        return [int(vanilla[settings["parameter"]].eq(value).sum()) for value in values]
    bins = settings.get("bins")
    column = rows[settings.get("parameter", "hidden_size")] if bins else rows["variant"]
    if not bins:
        return rows["variant"].value_counts().tolist()
    cells = [rows["variant"].eq(name) for pair in settings.get("pairs", []) for name in pair]
    cells = [cell for cell in cells if cell.any()] or [rows["variant"].notna()]
    inside = [column.between(a, b, inclusive="left" if b < bins[-1] else "both") for a, b in pairwise(bins)]
    return [int((one & cell).sum()) for one in inside for cell in cells]


@pytest.mark.parametrize("name", [n for n, c in claims().items() if c.quantity in OF_SHARES | OF_BEST_TENTHS])
def test_a_plan_has_what_the_rule_asks_for_or_says_that_it_has_not(name: str) -> None:
    search = pytest.importorskip("odyssey_kit.search", reason="the extra [train] is not installed")
    claim = claims()[name]
    for study in (study for study in claim.studies if study in search.STUDIES):
        trials = search.STUDIES[study].plan()
        rows = pd.DataFrame([{**vars(t.protocol), **t.params, "variant": t.variant.name} for t in trials])
        fewest, told = min(_sides(claim, rows)), conventions().studies[study].counts.get(name)
        if fewest < least_of(claim) or told is not None:
            assert told == fewest, f"{study} has {fewest} for {name}, whose rule asks for {least_of(claim)}"
            assert str(told) in reach(claim, study)


def test_a_price_says_what_its_study_cannot_decide() -> None:
    found = ok.check_claims("B4", evidence=Evidence())
    words = "but not reproduce it: that takes 53 of which all succeed, and its plan has 41."
    assert words in found["B4"].sentence and words in " ".join(_whole(found["B4"]).split())
    assert words in html.unescape(ok.charts.claims_ledger(found)._repr_html_())


def _rule_of(claim: Claim) -> str:
    """Return a fingerprint of all that decides a claim from trials, words included."""
    names = ("quantity", "settings", "reproduced_if", "contradicted_if", "margin", "roles", "family", "studies")
    more = ("pooled_with", "own_data_only", "across_tasks")
    if claim.with_stand_ins:
        more = (*more, "with_stand_ins")  # an entry that came later
    entries = {name: getattr(claim, name) for name in (*names, *more)}
    entries["level"] = conventions().families[claim.family]["decisions"]
    return hashlib.sha256(json.dumps(entries, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:12]


@pytest.mark.parametrize("name", list(claims()))
def test_a_rule_that_is_not_as_first_written_says_why(name: str) -> None:
    """The file holds each rule's fingerprint as first committed and as it is now, and how many changes are noted.

    Who changes a rule adds a change with its reason to the claim, then puts `now` and `changes` here.
    """
    kept = json.loads((ROOT / "tests" / "ledger_rules.json").read_text())[name]
    claim = claims()[name]
    assert _rule_of(claim) == kept["now"], f"{name}: the rule differs from the one kept; note the change and its reason"
    assert len(claim.changes) == kept["changes"] and all(change.what and change.why for change in claim.changes)
    # The other way round it need not be so: a change may be of the code that did not follow its words.
    assert kept["first"] == kept["now"] or kept["changes"] > 0


def test_every_change_is_told_by_the_command_and_by_the_book() -> None:
    """B15 has two changes of one day: neither takes the other's place."""
    found = ok.check_claims("B15", evidence=Evidence())
    command = " ".join(_whole(found["B15"]).split())
    page = html.unescape(ok.charts.claims_ledger(found)._repr_html_())
    assert len(claims()["B15"].changes) > 1
    for change in claims()["B15"].changes:
        assert change.why in command and change.why in page


def test_a_change_that_was_made_after_trials_had_been_seen_says_so() -> None:
    changes = [change for claim in claims().values() for change in claim.changes]
    assert any(change.seen for change in changes)
    assert all(change.seen == ("ade after" in change.why) for change in changes)


def test_the_page_counts_rules_that_were_changed_after_trials_that_speak_of_them() -> None:
    claim = claims()["O13"]
    table = made.table({"V": 0.0, "NOAF": 0.0}, law=made.flat)
    table.loc[table["variant"].eq("NOAF") & table["index"].lt(60), "state"] = "DIVERGED"
    found = ok.check_claims(["O13", "B1"], evidence=made.evidence(claim, table.assign(max_abs_output=1.0)))
    said = str(ok.charts.changes_answer(found))
    assert said.startswith("Of 2 rules 1 were changed") and "had been published: O13." in said
    verdict = found["O13"].verdict
    decided = f"Of these, 1 is decided now: O13 ({verdict})."
    assert (decided in said) == (verdict in ("reproduced", "contradicted"))
    assert ("None of these is decided now." in said) == (verdict == "undecided")


def test_an_undecided_claim_has_a_price_or_says_that_nothing_planned_adds_to_it() -> None:
    for item in ok.check_claims():
        if item.verdict != "undecided":
            assert item.reach == ""
        elif item.price is None:
            assert "nothing that is planned adds trials to it" in item.reach
            assert item.reach in " ".join(_whole(item).split())
            assert item.reach in html.unescape(ok.charts.claims_ledger(Verdicts(items=(item,)))._repr_html_())


@pytest.mark.parametrize(("spread", "step"), [(0.5, False), (3, True)])
def test_a_study_that_adds_fewer_trials_than_are_asked_for_is_called_a_step(spread: float, step: bool) -> None:
    claim = claims()["O4"]
    table = made.selected({"V": 0.0, "CIFG": 0.03}, agreement=0.5, seed=1, task=made.first_task(claim), n=200)
    for name in ("valid_metric", "test_metric"):
        table[name] = 8.5 + spread * (table[name] - 8.5)
    table.loc[table["variant"].eq("CIFG"), "test_metric"] += 0.0 if step else 0.035
    found = ok.check_claims("O4", evidence=made.evidence(claim, table))["O4"]
    (part,) = found.parts
    assert found.verdict == "undecided" and found.price is not None and found.price.study == "odyssey-jsb-paired"
    assert (part.details["wanted"] > 200 + ok.named_study("odyssey-jsb-paired").n_trials) == step
    assert ("With it there would be 300 trials a side" in found.reach) == step


def test_what_a_study_adds_a_side_is_what_it_is_planned_with() -> None:
    sides = {name: study.side for name, study in conventions().studies.items() if study.side}
    assert sides == {name: ok.named_study(name).n_trials for name in sides} and sides


@pytest.mark.parametrize(("effect", "words"), [(0.05, "trials a side to find it"), (-0.05, "rather show the opposite")])
def test_a_claimed_difference_that_is_not_found_says_how_many_would_find_it(effect: float, words: str) -> None:
    claim = claims()["O2"]
    table = made.selected({"V": 0.0, "NFG": effect}, agreement=0.0, seed=3, task=made.first_task(claim), n=120)
    (part,) = ok.check_claims("O2", evidence=made.evidence(claim, table))["O2"].parts
    assert part.verdict == "undecided" and words in part.needed


def test_the_levels_of_o40_are_those_of_the_published_table() -> None:
    """A rule stands whole in the ledger, so its numbers are typed there too; they are held together here."""
    claim, rows = claims()["O40"], ok.load_published("odyssey-text").frame
    best = rows[rows["quantity"].eq("best trial by validation")].set_index("task")["value"]
    roles = {conventions().tasks[task].role: value for task, value in best.items()}
    assert claim.settings["published"] == roles
    assert all(f"{value:g} " in claim.claim for value in roles.values())


def test_a_departure_from_the_plan_is_told_with_its_reason() -> None:
    departures = conventions().departures
    assert set(departures) <= set(claims()) and all(entry.what and entry.why for entry in departures.values())
    found = ok.check_claims("B24", evidence=Evidence())
    for text in (" ".join(_whole(found["B24"]).split()), ok.charts.claims_ledger(found)._repr_html_()):
        assert departures["B24"].what in html.unescape(text)
    assert records(found)[0]["departure"]["why"] == departures["B24"].why


def test_a_shared_change_names_claims_that_there_are() -> None:
    for change in conventions().changes:
        assert change.claims and set(change.claims) <= set(claims()), change.what


def test_without_trials_a_claim_is_undecided_with_a_price_or_not_testable_with_what_is_missing() -> None:
    for item in ok.check_claims(evidence=Evidence()):
        if item.verdict == "undecided":
            assert item.price is not None and item.price.trials > 0 and item.price.hours[0] > 0
            assert item.price.study in item.sentence
        else:
            assert item.verdict == "not testable here" and "missing" in item.sentence


def test_an_undecided_claim_asks_first_for_what_can_be_pooled_with_its_trials() -> None:
    claim = claims()["O4"]
    table = made.table({"V": 0.0, "CIFG": 0.03}, law=made.flat, spread=0.3)
    found = ok.check_claims("O4", evidence=made.evidence(claim, table))["O4"]
    assert found.price is not None and found.price.study == "odyssey-jsb-paired"
    assert found.price.basis == "the middle half of the trials of odyssey-jsb", "its seconds are measured by now"


def test_a_stand_in_decides_only_the_direction_and_never_overrules() -> None:
    claim = claims()["O2"]
    cells = {"V": 0.0, "NFG": 2.0}
    stand_in = made.table(cells, task="spoken-digits", law=made.flat, spread=0.3)
    alone = ok.check_claims("O2", evidence=made.evidence(claim, {"odyssey-spoken-digits": stand_in}))["O2"]
    assert (alone.verdict, alone.own) == ("reproduced", False)
    assert "direction" in alone.sentence and "stand-in" in alone.data
    opposite = made.table({"V": 0.0, "NFG": -2.0}, law=made.flat, spread=0.3)
    both = {"odyssey-spoken-digits": stand_in, "odyssey-jsb": opposite}
    found = ok.check_claims("O2", evidence=made.evidence(claim, both))["O2"]
    assert (found.verdict, found.own) == ("contradicted", True)
    assert [part.own for part in found.parts] == [True, False]
    assert "not tested on speech and handwriting" in found.data


def test_a_claim_tested_on_some_of_its_tasks_says_on_how_many() -> None:
    """In the sentence, in the tables of command and notebook, and as JSON; a claim of music alone says nothing."""
    studies = ("odyssey-jsb", "odyssey-spoken-digits", "odyssey-unipen")

    def tested(name: str, *tasks: str) -> Verdicts:
        cells = {"V": 0.0, "NFG": 2.0, "FGR": 2.0}
        tables = [made.table(cells, law=made.flat, spread=0.3, n=100, task=task) for task in tasks]
        return ok.check_claims(name, evidence=made.evidence(claims()[name], dict(zip(studies, tables, strict=False))))

    found = tested("O2", "jsb-chorales")
    assert found["O2"].scope == "1 of 3 tasks" and found["O2"].words == "reproduced, 1 of 3 tasks"
    assert found["O2"].sentence.startswith("Reproduced on JSB Chorales (1 of 3 tasks): NFG − V")
    assert "✓ reproduced, 1 of 3 tasks" in repr(found)
    assert records(found)[0]["scope"] == "1 of 3 tasks"
    beside = tested("O2", "jsb-chorales", "spoken-digits", "unipen-lines")["O2"]
    assert beside.scope == "1 of 3 tasks", "the paper's own data decide alone"
    stand_ins = tested("O2", "spoken-digits", "unipen-lines")["O2"]
    assert (stand_ins.scope, stand_ins.own) == ("2 of 3 tasks", False)
    assert tested("O2", "jsb-chorales", "timit", "iam-ondb")["O2"].scope == ""
    assert tested("O8", "jsb-chorales")["O8"].scope == "" and tested("O2")["O2"].scope == ""


def test_a_missed_rejection_is_never_called_reproduced() -> None:
    """A null of which nothing is known: the paper's criterion is met, and the verdict is undecided, with its power."""
    claim = claims()["O4"]
    table = made.table({"V": 0.0, "CIFG": 0.03}, law=made.flat, spread=0.3)
    found = ok.check_claims("O4", evidence=made.evidence(claim, table))["O4"]
    part = found.parts[0]
    assert part.details["p_bonferroni"] > 0.05
    assert found.verdict == "undecided"
    assert "own criterion is met" in part.note and "51 %" in part.note
    assert "trials a side" in part.needed


def test_absurd_losses_are_clamped_and_counted_and_failures_left_out() -> None:
    table = made.table(["V"], n=5, law=made.flat)
    table.loc[0, "test_metric"] = 333.0
    table.loc[1, ["valid_metric", "test_metric"]] = np.nan
    table.loc[1, "state"] = "DIVERGED"
    table.loc[2, "state"] = "FAILED"
    cap = conventions().tasks["jsb-chorales"].cap
    assert cap == pytest.approx(88 * np.log(2))
    clean = measured(table, cap)
    assert clean["test_metric"].tolist()[:2] == [cap, cap] and len(clean) == 4
    assert clean["capped"].sum() == 1 and clean["diverged"].sum() == 1


def test_a_trial_that_diverged_late_keeps_its_best_epoch() -> None:
    """Early stopping keeps the best network, so a divergence after it takes nothing away; one before leaves none."""
    table = made.table(["V"], n=3, law=made.flat)
    table.loc[[0, 1], "state"] = "DIVERGED"
    table.loc[1, ["valid_metric", "test_metric"]] = np.nan
    cap = conventions().tasks["jsb-chorales"].cap
    clean = measured(table, cap)
    assert clean["test_metric"].tolist()[:2] == [table.loc[0, "test_metric"], cap]
    assert clean["diverged"].tolist() == [True, True, False]


def test_a_comparison_counts_what_diverged_and_what_was_clamped() -> None:
    table = made.table({"V": 0.0, "NFG": 0.5}, law=made.flat)
    table.loc[0, "test_metric"] = 333.0
    table.loc[[1, 2], "state"] = "DIVERGED"
    table.loc[[1, 2], ["valid_metric", "test_metric"]] = np.nan
    part = ok.check_claims("O2", evidence=made.evidence(claims()["O2"], table))["O2"].parts[0]
    assert part.n == "best 20 of 200 and 20 of 200 trials, 2 diverged and 1 clamped"


def test_paired_draws_are_drawn_together() -> None:
    """A paired study whose cells differ by a constant tells so with no error at all; an unpaired one does not."""
    one = made.table(["V"], n=100, law=made.flat, spread=0.3)
    both = [one.assign(variant=name, key=one["key"] + name) for name in ("V", "CIFG")]
    both[1][["valid_metric", "test_metric"]] += 0.01
    table = pd.concat(both, ignore_index=True)
    widths = []
    for paired in (True, False):
        studies = {"odyssey-jsb": made.study("odyssey-jsb", table, paired=paired)}
        part = ok.check_claims("O4", evidence=Evidence(studies=studies))["O4"].parts[0]
        widths.append(part.high - part.low)
    assert widths[0] < 1e-6 < widths[1]


def test_a_published_study_fills_in_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made_up.write(tmp_path / "odyssey-jsb", n_per_cell=100)
    monkeypatch.setenv("ODYSSEY_RESULTS", str(tmp_path))
    found = ok.check_claims(["O2", "O32"])
    used = ok.load_trials("odyssey-jsb").hash
    assert found["O2"].studies["odyssey-jsb"] == used
    assert found["O32"].verdict == "reproduced", "the made-up seconds grow with size"
    row = found.to_frame().set_index("id").loc["O32"]
    assert used in row["studies"] and row["estimate"] > 0.9


def test_all_claims_are_checked_from_a_cold_start_when_the_whole_column_is_published(tmp_path: Path) -> None:
    """Every named study of the chorales, made up: no rule stumbles over a published table, and the command is quick."""
    named = {
        "odyssey-jsb": made_up.ODYSSEY,
        "odyssey-jsb-raw": ("V",),
        "odyssey-jsb-wide": ("V", "CIFG", "NFG", "NOAF"),
        "odyssey-jsb-paired": made_up.ODYSSEY,
        "odyssey-jsb-unpublished": ("NIG+NOG", "NOG+NP", "CIFG+NIAF", "CIFG+NOAF"),
    }
    for seed, (name, variants) in enumerate(named.items()):
        made_up.write(tmp_path / name, n_per_cell=200, variants=variants, n_diverged=0, seed=seed)
    environment = {**os.environ, "ODYSSEY_RESULTS": str(tmp_path)}
    # The bound is generous: a machine that does other work, too. benchmarks/RESULTS.md has the time.
    command = [sys.executable, "-W", "error::UserWarning", "-m", "odyssey_kit", "claims", "--json"]
    run = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)
    assert run.returncode == 0, run.stderr
    rows = {row["id"]: row for row in json.loads(run.stdout)}
    music = [name for name, claim in claims().items() if claim.studies[0] == "odyssey-jsb"]
    for name in music:
        assert "odyssey-jsb " in rows[name]["studies"], name
        assert rows[name]["verdict"] != "undecided" or rows[name]["needed"] or rows[name]["price_study"], name
    assert rows["O2"]["verdict"] == rows["O3"]["verdict"] == "reproduced"


def test_an_unknown_claim_is_named() -> None:
    with pytest.raises(ok.UsageError, match=r"no claim is called 'O99'; there are O1 to O40 .* and B1 to B27"):
        ok.check_claims(["O1", "O99"])


def test_a_task_that_the_ledger_does_not_know_is_an_error() -> None:
    table = made.table(["V", "NFG"], task="whale-song", n=10)
    studies = {"odyssey-jsb": Trials.from_frame(table)}
    with pytest.raises(ok.UsageError, match="trials on 'whale-song', which the ledger does not know"):
        ok.check_claims("O2", evidence=Evidence(studies=studies))


def test_the_table_counts_what_it_lists() -> None:
    found = ok.check_claims(evidence=Evidence())
    frame, counts = found.to_frame(), found.counts()
    assert list(counts.columns) == list(VERDICTS) and counts.to_numpy().sum() == 67
    assert repr(found).startswith("67 claims: ") and "<table" in found._repr_html_()
    assert (frame["verdict"] == "undecided").sum() == counts["undecided"].sum()


def test_the_command_prints_all_claims_and_one_whole(
    published: Verdicts, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    some = ok.check_claims
    monkeypatch.setattr(ok, "check_claims", lambda ids: some(ids) if ids else published)
    check()
    every = capsys.readouterr().out
    assert "67 claims: " in every
    assert "O3   ✓ reproduced, 1 of 3 tasks" in every, "of three data sets one is published"
    assert max(map(len, every.splitlines())) <= 100
    check(["b7"])
    assert "contradicted if: The interval excludes −1." in capsys.readouterr().out
    check(["O2", "O3"], as_json=True)
    rows = json.loads(capsys.readouterr().out)
    assert [row["id"] for row in rows] == ["O2", "O3"] and rows[0]["verdict"] in VERDICTS


def test_a_claim_that_there_is_not_is_one_line() -> None:
    command = [sys.executable, "-m", "odyssey_kit", "claims", "O99"]
    wrong = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert wrong.returncode == 2 and "no claim is called 'O99'" in wrong.stderr and len(wrong.stderr.splitlines()) == 1


def test_as_json_a_claim_is_whole() -> None:
    """Nothing that the command prints of a claim is missing there, and nothing in it is no JSON."""
    cells = {name: 0.1 for name in made.EIGHT}
    table = made.table({"V": 0.0, **cells}, law=made.flat, spread=0.1)
    (one,) = records(ok.check_claims("O1", evidence=made.evidence(claims()["O1"], table)))
    assert [part["label"] for part in one["parts"]] == [f"{name} − V" for name in claims()["O1"].settings["variants"]]
    assert {"estimate", "low", "high", "error", "n", "note", "needed", "verdict"} <= set(one["parts"][0])
    assert one["parts"][0]["details"]["p_bonferroni"] >= one["parts"][0]["details"]["p"]
    assert one["own"] is True and one["rule"]["reproduced_if"] == claims()["O1"].reproduced_if
    assert one["rule"]["margin"] == claims()["O1"].margin and len(one["changes"]) == len(claims()["O1"].changes)
    assert json.loads(json.dumps(one, allow_nan=False)) == one
    waiting, impossible = records(ok.check_claims(["B24", "B22"], evidence=Evidence()))
    assert waiting["own"] is None and waiting["parts"] == [] and waiting["price"]["basis"]
    assert impossible["own"] is None and impossible["price"] is None


def test_as_json_infinity_is_a_word() -> None:
    change = partial(made.diverge, chance=lambda rows: np.full(len(rows), 0.03))
    frame = made.table(["LSTM"], task="mnist", n=660, change=change)
    (one,) = records(ok.check_claims("B3", evidence=made.evidence(claims()["B3"], frame)))
    assert one["parts"][0]["high"] == one["high"] == "inf"


def test_a_study_in_its_first_steps_decides_nothing_and_takes_no_verdict_down(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made_up.write(tmp_path / "odyssey-jsb", made_up.trials(3, study="odyssey-jsb").assign(in_prefix=False))
    monkeypatch.setattr("odyssey_kit.analysis.loading._roots", lambda: [tmp_path])
    assert Evidence.published().studies == {}
    with pytest.raises(ok.UnfinishedBlockError, match="first steps"):
        ok.load_trials("odyssey-jsb")


def test_a_partial_study_is_finished_before_another_is_added_to_it() -> None:
    """Half of odyssey-jsb has no verdict to give yet: its rest comes first, then the paired draws."""
    claim = claims()["O4"]
    half = made.study("odyssey-jsb", made.table({"V": 0.0, "CIFG": 0.03}, n=50))
    half.study["counts"]["planned"] = 200
    found = ok.check_claims("O4", evidence=Evidence(studies={claim.studies[0]: half}))["O4"]
    assert found.price is not None and (found.price.study, found.price.trials) == ("odyssey-jsb", 100)


@pytest.mark.parametrize(
    ("name", "first", "also"),
    [
        ("O14", "odyssey-jsb-unpublished", ["odyssey-jsb"]),
        ("O21", "odyssey-jsb-raw", ["odyssey-jsb"]),
        ("O27", "odyssey-spoken-digits", ["odyssey-jsb"]),
        ("B8", "breuel-momentum", ["breuel-momentum-seeds"]),
        ("B15", "breuel-lines-logistic", ["breuel-lines"]),
        ("B17", "breuel-lines-logistic", ["breuel-lines"]),
    ],
)
def test_a_claim_that_takes_several_studies_is_priced_at_all_of_them(name: str, first: str, also: list[str]) -> None:
    half = made.study("odyssey-jsb", made.table(["V", "NOAF", "CIFG"], n=50))
    half.study["counts"]["planned"] = 1800
    found = ok.check_claims(name, evidence=Evidence(studies={"odyssey-jsb": half}))
    price = found[name].price
    assert price is not None and price.study == first and [other.study for other in price.also] == also
    assert all(other in found[name].sentence or found[name].parts for other in also)
    assert found.to_frame()["price_trials"].item() == sum(one.trials for one in price.every)
    assert set(ok.charts.claims_waiting(found).index) == {first, *also}


@pytest.mark.parametrize("name", ["jsb-chorales", "spoken-digits", "unipen-lines", "mnist"])
def test_the_length_of_a_mean_sequence_is_that_of_the_data(name: str) -> None:
    train = json.loads((ROOT / "data_manifests" / f"{name}.json").read_text())["ody:splits"]["train"]
    assert conventions().tasks[name].frames == pytest.approx(train["frames"] / train["sequences"], rel=0.02)


@pytest.mark.parametrize("name", ["O1", "O4", "O5", "O7", "O10", "O12", "O36"])
@pytest.mark.parametrize("trials", [False, True])
def test_the_power_of_the_papers_trials_stands_beside_every_null(name: str, trials: bool) -> None:
    table = made.table(["V", *made.EIGHT], n=20, task=made.first_task(claims()[name]))
    evidence = made.evidence(claims()[name], table) if trials and name != "O36" else Evidence()
    found = ok.check_claims(name, evidence=evidence)
    assert "51 % power" in _whole(found[name])
    assert "51 % power" in ok.charts.claims_ledger(found)._repr_html_()

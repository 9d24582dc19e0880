"""The ledger as HTML: every claim with its rule, its price or its estimates, and the papers' numbers beside them."""

from __future__ import annotations

import made_up_claims as made
import pytest

import odyssey_kit as ok
from odyssey_kit.analysis.claims import VERDICTS, Evidence, claims
from odyssey_kit.analysis.claims.findings import UNDECIDED
from odyssey_kit.analysis.claims.paper import paper_numbers, paper_slips

bs4 = pytest.importorskip("bs4", reason="the extra [book] is not installed")


def _parsed(page: object) -> bs4.BeautifulSoup:
    return bs4.BeautifulSoup(page._repr_html_(), "html.parser")  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def with_trials() -> ok.analysis.claims.Verdicts:  # type: ignore[name-defined]
    cells = {"V": 0.0, **dict.fromkeys(made.EIGHT, 0.05), "NFG": 1.0}
    return ok.check_claims(
        ["O1", "O2", "O4", "O17"], evidence=made.evidence(claims()["O2"], made.table(cells, spread=0.1))
    )


def test_today_every_claim_has_its_rule_and_a_price_or_what_is_missing() -> None:
    page = _parsed(ok.charts.claims_ledger(ok.check_claims(evidence=Evidence())))
    for name, claim in claims().items():
        body = page.find(id=name).get_text()
        assert claim.claim in body and claim.reproduced_if in body and claim.contradicted_if in body
        assert "Price: " in body or "what is missing is" in body, name


def test_a_change_of_a_rule_is_shown_with_its_reason() -> None:
    changed = [claim for claim in claims().values() if claim.changes]
    page = _parsed(ok.charts.claims_ledger(ok.check_claims(evidence=Evidence())))
    assert changed
    for claim in changed:
        text = page.find(id=claim.id).get_text()
        assert claim.changes[0].why in text
        assert "written before the trials were run" not in text, "O16's rule was changed after some"


def test_with_trials_the_estimates_their_intervals_and_the_study_are_shown(with_trials) -> None:
    page = _parsed(ok.charts.claims_ledger(with_trials))
    claim = page.find(id="O2")
    assert claim["data-verdict"] == "reproduced" and claim.find(class_="sign").get_text() == VERDICTS["reproduced"]
    ours = claim.select(".track.reproduced")
    assert len(ours) == 1 and ours[0].select(".span") and ours[0].select(".zero")
    text = claim.get_text()
    assert "99.4 % interval" in text and "study odyssey-jsb · hash 00000000" in text and "best 20 of 200" in text
    assert "It would be contradicted if" in text
    assert "not tested on speech and handwriting" in text
    assert claim.find(class_="word").get_text() == "reproduced, 1 of 3 tasks"


def test_marks_of_a_track_lie_on_it(with_trials) -> None:
    page = _parsed(ok.charts.claims_ledger(with_trials))
    places = [
        float(part.split(":")[1].rstrip("%"))
        for mark in page.select(".track span")
        for part in mark["style"].split(";")
    ]
    assert places and min(places) >= 0 and max(places) <= 100


def test_tiles_carry_sign_name_and_words(with_trials) -> None:
    page = _parsed(ok.charts.claims_overview(with_trials, page="x.html"))
    tiles = page.select("a.tile")
    assert [tile["href"] for tile in tiles] == [f"x.html#{item.claim.id}" for item in with_trials]
    for tile, item in zip(tiles, with_trials, strict=True):
        assert tile.find("i").get_text() == VERDICTS[item.verdict]
        assert f" {item.words.capitalize()}." in tile["aria-label"]
        assert (tile.find("small") or tile.find("i")).get_text() == (item.scope[:6] or VERDICTS[item.verdict])
    assert [item.scope for item in with_trials] == ["1 of 3 tasks"] * 4


def test_the_papers_numbers_are_those_of_the_published_tables() -> None:
    frame, source = paper_numbers(claims()["O17"])
    assert frame.set_index("task")["value"].to_dict() == {"timit": 67.3, "iam-ondb": 89.5, "jsb-chorales": 91.3}
    assert "Figure 5" in source
    frame, source = paper_numbers(claims()["O8"])
    assert frame["value"].item() == pytest.approx(0.071) and "Figure 3" in source
    assert paper_numbers(claims()["B22"])[0].empty
    assert "2.6 %" in paper_slips(claims()["O18"])[0]


def test_the_answer_counts_and_names_the_study_that_most_wait_for(with_trials) -> None:
    said = str(ok.charts.claims_answer(with_trials))
    assert said.startswith("Of 4 claims ")
    nothing = ok.check_claims(evidence=Evidence())
    waiting = ok.charts.claims_waiting(nothing)
    assert waiting.index[0] in str(ok.charts.claims_answer(nothing))
    undecided = {item.claim.id for item in nothing if item.verdict == UNDECIDED}
    assert set(", ".join(waiting["waiting"]).split(", ")) == undecided, "each waits for a study at least"
    assert list(waiting["claims"]) == [len(names.split(", ")) for names in waiting["waiting"]]


def test_the_first_page_answers_as_soon_as_a_claim_is_decided(with_trials) -> None:
    trials = ok.load_trials("first-light")
    before = ok.check_claims(evidence=Evidence())
    assert str(ok.charts.book_answer(before, trials)).startswith("This book cannot say yet")
    assert str(ok.charts.book_answer(with_trials, trials)).startswith("Of 4 claims 3 are reproduced")


def test_published_boxes_say_their_finding() -> None:
    chart = ok.charts.published_boxes(ok.retest_published())
    assert "NFG on JSB Chorales" in chart.to_dict()["description"]

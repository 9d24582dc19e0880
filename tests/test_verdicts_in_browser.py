"""The verdicts as a reader uses them, in a real browser with the network cut: filters, links, keys, phone."""

from __future__ import annotations

import pytest

browser = pytest.importorskip("browser", reason="playwright is not installed: pip install -e '.[dev]'")
pytestmark = pytest.mark.browser

SHOWN = "[...document.querySelectorAll('details.claim')].filter(claim => claim.offsetParent).map(claim => claim.id)"


@pytest.fixture
def visit(chromium, built_book):
    with browser.Visit(chromium, browser.DESKTOP) as opened:
        opened.page.goto(f"{built_book.as_uri()}/the-verdicts.html")
        yield opened
        assert opened.problems == []


def test_every_claim_is_listed_and_the_filters_narrow_the_list(visit):
    page = visit.page
    assert len(page.evaluate(SHOWN)) == 67
    page.select_option("[data-filter=paper]", "breuel")
    page.select_option("[data-filter=topic]", "divergence")
    shown = page.evaluate(SHOWN)
    assert shown and all(name.startswith("B") for name in shown)
    assert page.inner_text(".showing").startswith(f"{len(shown)} of 67 claims: Breuel (2015), divergence")
    page.fill(".odyssey-ledger input[type=search]", "zebra")
    assert page.evaluate(SHOWN) == [] and page.is_visible(".none")
    page.press(".odyssey-ledger input[type=search]", "Escape")
    assert len(page.evaluate(SHOWN)) == 67 and not page.is_visible(".none")


def test_a_verdict_chip_filters_and_says_that_it_is_pressed(visit):
    page = visit.page
    chip = page.locator(".chips button", has_text="not testable here")
    chip.click()
    assert chip.get_attribute("aria-pressed") == "true"
    count = int(chip.inner_text().split("·")[1])
    assert len(page.evaluate(SHOWN)) == count > 0
    page.click(".controls .reset")
    assert chip.get_attribute("aria-pressed") == "false" and len(page.evaluate(SHOWN)) == 67


def test_a_claim_opens_by_keyboard_and_shows_its_rule_and_its_price(visit):
    page = visit.page
    page.focus("#O2 summary")
    page.keyboard.press("Enter")
    body = page.inner_text("#O2 .body")
    assert "reproduced if" in body and "The paper’s own numbers" in body and "What would change this" in body
    assert page.locator("#O2 .track.published").count() == 3


def test_a_tile_of_the_first_page_leads_to_its_claim(chromium, built_book):
    with browser.Visit(chromium, browser.DESKTOP) as opened:
        opened.page.goto(f"{built_book.as_uri()}/index.html")
        assert opened.page.locator("a.tile").count() == 67
        opened.page.click("a.tile[href$='#B7']")
        opened.page.wait_for_function("document.getElementById('B7')?.open")
        assert opened.page.locator("#B7 .body").is_visible()
        assert opened.problems == []


def test_an_address_opens_a_claim_that_the_filters_had_hidden(visit):
    page = visit.page
    page.select_option("[data-filter=paper]", "odyssey")
    page.evaluate("location.hash = '#B1'")
    page.wait_for_function("document.getElementById('B1').open")
    assert page.locator("#B1").is_visible()


def test_without_scripts_the_whole_list_is_there(chromium, built_book):
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{built_book.as_uri()}/the-verdicts.html")
    assert page.locator("details.claim").count() == 67 and not page.is_visible(".odyssey-ledger .controls")
    page.click("#O1 summary")
    assert page.locator("#O1 .body").is_visible()
    context.close()


def test_an_open_claim_fits_a_phone_and_its_controls_a_finger(chromium, built_book):
    with browser.Visit(chromium, browser.PHONE) as opened:
        opened.page.goto(f"{built_book.as_uri()}/the-verdicts.html#O1")
        opened.page.wait_for_function("document.getElementById('O1').open")
        opened.page.evaluate("document.querySelectorAll('details.claim').forEach(claim => { claim.open = true; })")
        opened._check_width()
        heights = "[...document.querySelectorAll('.odyssey-ledger button')].map(b => b.getBoundingClientRect().height)"
        assert min(opened.page.evaluate(heights)) >= 40
        assert opened.problems == []

"""Every page of the built book in a real browser with the network cut, and the proof that this can fail."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import BOOK, ROOT

browser = pytest.importorskip("browser", reason="playwright is not installed: pip install -e '.[dev]'")
pytestmark = pytest.mark.browser
DATA = ".odyssey-chart-tools button:text('Data')"


def _chapters() -> list[str]:
    text = (BOOK / "_toc.yml").read_text(encoding="utf-8")
    return re.findall(r"^\s*-?\s*(?:root|file):\s*([\w/-]+)", text, re.MULTILINE)


@pytest.fixture(scope="session")
def addresses(built_book):
    """Give the two ways a reader opens the book: as files, and from a server on this machine."""
    with browser.serve(built_book) as served:
        yield {"file": built_book.as_uri(), "http": served}


# --- Each page ----------------------------------------------------------------------------------------------------

PAGES = [*_chapters(), "search", "genindex"]
# The address decides how scripts and tables are loaded, the mode how they are drawn: both at once is a long test.
ELSEWHERE = [
    pytest.param(address, mode, marks=[pytest.mark.slow] if address == "http" else [], id=f"{address}-{mode.name}")
    for address in ("file", "http")
    for mode in (browser.DARK, browser.PHONE)
]


@pytest.fixture(
    scope="module", params=[(address, page) for address in ("file", "http") for page in PAGES], ids="-".join
)
def desktop(request, chromium, addresses):
    """Give a page on a desktop, opened once for all tests that read it and change nothing."""
    address, page = request.param
    with browser.Visit(chromium, browser.DESKTOP) as visit:
        yield visit.open(f"{addresses[address]}/{page}.html")


def _assert_complete(visit, mode):
    assert visit.problems == []
    assert visit.page.evaluate("document.documentElement.dataset.theme") == ("dark" if mode.dark else "light")
    assert visit.page.evaluate("document.fonts.check('17px \"Inter Variable\"')")
    unset = "[...document.querySelectorAll('.math')].filter(m => !m.querySelector('mjx-container')).length"
    assert visit.page.evaluate(unset) == 0, "formulas that were not set"


def test_page_opens_complete_without_a_network(desktop):
    _assert_complete(desktop, browser.DESKTOP)


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize(("address", "mode"), ELSEWHERE)
def test_page_opens_complete_in_the_dark_and_on_a_phone(chromium, addresses, address, mode, page):
    with browser.Visit(chromium, mode) as visit:
        _assert_complete(visit.open(f"{addresses[address]}/{page}.html"), mode)


def test_every_table_fits_the_column(desktop):
    wide = "[...document.querySelectorAll('.odyssey-scroll')].map(e => e.scrollWidth - e.clientWidth)"
    assert all(more <= 1 for more in desktop.page.evaluate(wide))


def test_data_saves_the_chart_s_table(desktop):
    for button in desktop.page.query_selector_all(DATA)[:1]:
        with desktop.page.expect_download() as download:
            button.click()
        lines = download.value.path().read_text(encoding="utf-8").splitlines()
        assert download.value.suggested_filename.endswith(".csv")
        assert len(lines) > 1 and "," in lines[0]
    assert desktop.problems == []


# --- What a reader does ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", _chapters())
def test_every_brush_and_slider_changes_what_is_shown(chromium, addresses, page):
    with browser.Visit(chromium, browser.DESKTOP) as visit:
        visit.open(f"{addresses['file']}/{page}.html")
        for number, chart in enumerate(visit.charts, start=1):
            start = visit.pixels(chart)
            for slider in chart.query_selector_all("input[type=range]"):
                assert visit.slide(slider, lambda chart=chart: visit.pixels(chart)), f"chart {number}: dead slider"
                visit.reset(chart)
                assert visit.pixels(chart) == start, f"chart {number}: not what it was after Reset"
            for panel in visit.brushable(chart):
                assert visit.brush(chart, panel), f"chart {number}: the brush at {panel} changes nothing"
                visit.reset(chart)
                assert visit.pixels(chart) == start, f"chart {number}: not what it was after Reset"
        for number, widget in enumerate(visit.page.query_selector_all(".odyssey-widget"), start=1):
            for slider in widget.query_selector_all("input[type=range]"):
                shown = visit.slide(slider, lambda widget=widget: visit.shown_by(widget))
                assert shown, f"widget {number}: dead slider"
                for button in widget.query_selector_all("button:text-is('reset')"):
                    button.click()  # or one end of a range would hold the other
        assert visit.problems == []


@pytest.mark.parametrize("page", _chapters())
def test_a_finger_brushes_what_a_mouse_brushes(chromium, addresses, page):
    with browser.Visit(chromium, browser.PHONE) as visit:
        visit.open(f"{addresses['file']}/{page}.html")
        for number, chart in enumerate(visit.charts, start=1):
            for panel in visit.brushable(chart):
                assert _swipe(visit, chart, panel), f"chart {number}: a finger at {panel} brushes nothing"
                visit.reset(chart)
        assert visit.problems == []


def _swipe(visit, chart, panel) -> bool:
    """Draw a finger over the middle of a panel; tell whether another panel changed."""
    x, y, w, h = (panel[key] for key in "xywh")
    aside = [(x - 3, y - 3, x + w + 3, y + h + 3)]
    canvas = chart.query_selector("canvas")
    # Clear of the page's header, which stays at the top edge.
    visit.page.evaluate("([c, y]) => window.scrollBy(0, c.getBoundingClientRect().top + y - 200)", [canvas, y])
    visit.settle()
    before, corner = visit.pixels(chart, aside), canvas.bounding_box()
    touch = visit.page.context.new_cdp_session(visit.page)
    for step in range(13):
        # Rather sideways than down: a finger that goes straight down scrolls the page.
        at = {"x": corner["x"] + x + (0.25 + 0.03 * step) * w, "y": corner["y"] + y + (0.5 + 0.015 * step) * h}
        touch.send("Input.dispatchTouchEvent", {"type": "touchMove" if step else "touchStart", "touchPoints": [at]})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    visit.settle()
    return visit.pixels(chart, aside) != before


def test_the_book_has_all_that_is_looked_for(chromium, addresses):
    """Tests of every page hold whatever is not there; this one counts until it has seen one of each."""
    found = dict.fromkeys(("brush", "slider", "formula", "table", "data"), 0)
    for page in _chapters():
        if all(found.values()):
            break
        with browser.Visit(chromium, browser.DESKTOP) as visit:
            visit.open(f"{addresses['file']}/{page}.html")
            found["brush"] += sum(len(visit.brushable(chart)) for chart in visit.charts)
            found["slider"] += len(visit.page.query_selector_all(f":is({browser.DRAWN}) input[type=range]"))
            found["formula"] += len(visit.page.query_selector_all("mjx-container"))
            found["table"] += len(visit.page.query_selector_all(".odyssey-scroll"))
            found["data"] += len(visit.page.query_selector_all(DATA))
    assert all(found.values()), found


@pytest.mark.parametrize("page", _chapters())
def test_the_theme_button_redraws_every_chart(chromium, addresses, page):
    with browser.Visit(chromium, browser.DESKTOP) as visit:
        visit.open(f"{addresses['file']}/{page}.html")
        before = [visit.pixels(chart) for chart in visit.charts]
        visit.page.evaluate("document.querySelectorAll('.odyssey-chart').forEach(c => { c._before = c._view; })")
        visit.toggle_theme()
        visit.wait_for_drawings()
        assert visit.page.evaluate(
            "[...document.querySelectorAll('.odyssey-chart')].every(c => c._view && c._view !== c._before)"
        )
        assert all(visit.pixels(chart) != old for chart, old in zip(visit.charts, before, strict=True))
        assert visit.problems == []


def test_the_theme_button_keeps_what_was_brushed(chromium, scratch):
    with browser.Visit(chromium, browser.DESKTOP) as visit:
        visit.open(scratch.write(chart=_spec(linked=True)))
        chart = visit.charts[0]
        assert visit.brush(chart, visit.brushable(chart)[0])
        brushed = visit.pixels(chart)
        for theme in ("dark", "light"):
            visit.page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
            visit.wait_for_drawings()
        visit.settle()
        assert visit.pixels(chart) == brushed
        assert visit.problems == []


@pytest.mark.parametrize("address", ["file", "http"])
def test_search_finds_a_word(chromium, addresses, address):
    with browser.Visit(chromium, browser.DESKTOP) as visit:
        visit.open(f"{addresses[address]}/search.html?q=forget")
        visit.page.wait_for_selector("#search-results li a")
        visit.settle()
        assert visit.problems == []


# --- The proof that these tests can fail ------------------------------------------------------------------------------


def _spec(*, linked: bool, **extra) -> dict:
    """Two panels, a brush and a slider; unless they are linked, neither does anything."""
    rows = [{"x": i % 20, "y": (i * 7) % 31} for i in range(120)]
    position = {"x": {"field": "x", "type": "quantitative"}, "y": {"field": "y", "type": "quantitative"}}
    scatter = {"mark": "circle", "encoding": position, "width": 300, "height": 120}
    scatter["params"] = [{"name": "brush", "select": {"type": "interval", "encodings": ["x"]}}]
    bars = {"mark": "bar", "encoding": {"x": position["x"], "y": {"aggregate": "count"}}, "width": 300, "height": 80}
    if linked:
        bars["transform"] = [{"filter": {"param": "brush"}}, {"filter": "datum.y < top"}]
    slider = {"name": "top", "value": 30, "bind": {"input": "range", "min": 5, "max": 30}}
    return {"data": {"values": rows}, "params": [slider], "vconcat": [scatter, bars], **extra}


class Scratch:
    """Writes small pages that use the book's own hosts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, body: str = "", *, chart: dict | str | None = None, host: bool = True) -> str:
        if chart is not None:
            spec = chart if isinstance(chart, str) else json.dumps(chart)
            body += f'<div class="odyssey-chart"><script type="application/json">{spec}</script></div>'
        script = '<script defer src="_static/chart-host.js"></script>' if host else ""
        html = f'<!doctype html><html data-theme="light"><head><meta charset="utf-8">{script}</head><body>{body}</body>'
        (self.folder / "page.html").write_text(html, encoding="utf-8")
        return (self.folder / "page.html").as_uri()


@pytest.fixture(scope="session")
def scratch(tmp_path_factory, book_extension):
    folder = tmp_path_factory.mktemp("scratch")
    shutil.copytree(BOOK / "assets", folder / "_static")
    book_extension.write_vega_bundle(folder / "_static" / book_extension.VEGA_BUNDLE)
    return Scratch(folder)


def _problems(chromium, url: str, mode=browser.DESKTOP) -> list[str]:
    with browser.Visit(chromium, mode, patience=4_000) as visit:
        return visit.open(url).problems


def test_a_sound_page_has_no_problems(chromium, scratch):
    assert _problems(chromium, scratch.write("<p>Text</p>", chart=_spec(linked=True))) == []


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("<script>console.error('something is wrong')</script>", "console: something is wrong"),
        ("<script>throw new Error('torn')</script>", "page error: torn"),
        ("<img alt='' src='https://example.org/pixel.png'>", "request to another host: https://example.org/pixel.png"),
        ("<script src='missing.js'></script>", "console: Failed to load resource"),
        ("<div class='odyssey-widget'></div>", "chart or widget 1 was never drawn"),
    ],
)
def test_a_faulty_page_is_caught(chromium, scratch, body, problem):
    assert any(problem in found for found in _problems(chromium, scratch.write(body)))


def test_a_dead_chart_is_caught(chromium, scratch):
    assert "chart or widget 1 was never drawn" in _problems(
        chromium, scratch.write(chart=_spec(linked=True), host=False)
    )
    broken = _problems(chromium, scratch.write(chart='{"mark": '))
    assert any("chart or widget 1 failed" in found for found in broken)
    table = _problems(chromium, scratch.write(chart={"data": {"name": "odyssey-000000000000"}, "mark": "point"}))
    assert any("chart or widget 1 failed: could not load" in found for found in table)
    empty = _problems(chromium, scratch.write(chart={"data": {"values": []}, "mark": "point"}))
    assert "chart or widget 1 says it is drawn, and is blank" in empty


def test_a_page_too_wide_for_a_phone_is_caught(chromium, scratch):
    wide = scratch.write("<div style='width: 900px; height: 5px'></div>")
    assert any("px wide" in found for found in _problems(chromium, wide, browser.PHONE))


@pytest.mark.parametrize("linked", [True, False])
def test_a_brush_or_a_slider_that_changes_nothing_is_caught(chromium, scratch, linked):
    with browser.Visit(chromium, browser.DESKTOP) as visit:
        visit.open(scratch.write(chart=_spec(linked=linked)))
        chart = visit.charts[0]
        slider = chart.query_selector("input[type=range]")
        assert visit.slide(slider, lambda: visit.pixels(chart)) is linked
        visit.reset(chart)
        (panel,) = visit.brushable(chart)
        assert visit.brush(chart, panel) is linked


# --- Without a browser ------------------------------------------------------------------------------------------------


def test_the_browser_is_found_by_name_path_and_variable(tmp_path):
    here = tmp_path / "chrome"
    here.write_text("#!/bin/sh\n", encoding="utf-8")
    here.chmod(0o755)
    assert browser.find_browser({"PATH": str(tmp_path)}) == str(here)
    assert browser.find_browser({"PATH": "", "ODYSSEY_BROWSER": str(here)}) == str(here)
    assert browser.find_browser({"PATH": str(tmp_path), "ODYSSEY_BROWSER": "no-such-browser"}) is None
    assert browser.find_browser({"PATH": str(tmp_path / "empty")}) is None


@pytest.mark.parametrize("continuous_integration", [False, True])
def test_without_a_browser_the_last_line_says_so(tmp_path, continuous_integration):
    kept = {k: v for k, v in os.environ.items() if k not in {"CI", "ODYSSEY_BROWSER"} and not k.startswith("PYTEST")}
    environ = {**kept, "PATH": str(tmp_path), **({"CI": "true"} if continuous_integration else {})}
    wanted = "tests/test_book_in_browser.py::test_a_sound_page_has_no_problems"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", wanted]
    run = subprocess.run(command, env=environ, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == (1 if continuous_integration else 0), run.stdout
    assert run.stdout.splitlines()[-1] == browser.NOT_TESTED

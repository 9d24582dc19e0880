"""A real browser for the tests: find it, start it, open a built page with the network cut, and list what is wrong.

May import the standard library and playwright. The checks know nothing of the book's contents: a page is wrong when
something in it fails, asks another host for anything, does not draw, or does not fit.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import playwright.sync_api

CANDIDATES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
NOT_TESTED = "browser pages NOT tested: install chromium, or name a browser in ODYSSEY_BROWSER"
DRAWN = ".odyssey-chart, .odyssey-widget"
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Mode:
    """How a page is opened: its width and its colours."""

    name: str
    width: int
    height: int
    dark: bool = False

    @property
    def phone(self) -> bool:
        return self.width < 600


DESKTOP = Mode("desktop", 1280, 900)
DARK = Mode("dark", 1280, 900, dark=True)
PHONE = Mode("phone", 390, 844)
MODES = (DESKTOP, DARK, PHONE)


def find_browser(environ: Mapping[str, str] = os.environ) -> str | None:
    """Path of the browser: ``$ODYSSEY_BROWSER``, else the first known name on the path; None without one."""
    named = environ.get("ODYSSEY_BROWSER")
    path = environ.get("PATH")
    if named:
        return shutil.which(named, path=path) or (named if Path(named).is_file() else None)
    return next((found for name in CANDIDATES if (found := shutil.which(name, path=path))), None)


def launch_arguments() -> list[str]:
    """Switch off what a browser does on the network by itself, and the sandbox only for root, who cannot have one."""
    quiet = ["--disable-quic", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    return [*quiet, "--no-first-run", *(["--no-sandbox"] if root else [])]


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


@contextlib.contextmanager
def serve(folder: Path) -> Iterator[str]:
    """Serve a folder on a free port of this machine; gives the address without a slash at its end."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


# Pixels of a chart's canvas as one number, without those inside the given boxes [left, top, right, bottom].
_PIXELS = """(chart, boxes) => {
  const canvas = chart.querySelector("canvas");
  const { width, height } = canvas, scale = width / canvas.clientWidth;
  const pixels = new Uint32Array(canvas.getContext("2d").getImageData(0, 0, width, height).data.buffer);
  const inside = (x, y) => boxes.some(([l, t, r, b]) => x >= l && x <= r && y >= t && y <= b);
  let sum = 7, other = 0;
  for (let i = 0; i < pixels.length; i++) {
    if (inside((i % width) / scale, Math.floor(i / width) / scale)) continue;
    sum = (Math.imul(sum, 31) + pixels[i]) | 0;
    if (pixels[i] !== pixels[0]) other++;
  }
  return { sum, other };
}"""

# The panels of a chart, in pixels from the canvas's corner; `brush` marks the one that a brush can be drawn in.
_PANELS = """chart => {
  const view = chart._view, found = [];
  const walk = (group, left, top) => {
    const [x, y] = [left + (group.x || 0), top + (group.y || 0)];
    const marks = group.items || [];
    const brush = marks.some(mark => /_brush$/.test(mark.name || ""));
    if (brush || marks.some(mark => mark.role === "mark")) found.push({ x, y, w: group.width, h: group.height, brush });
    marks.filter(mark => mark.marktype === "group").forEach(mark => mark.items.forEach(item => walk(item, x, y)));
  };
  const [x, y] = view._renderer._origin;
  view.scenegraph().root.items.forEach(group => walk(group, x, y));
  return found;
}"""

# Everything that a widget shows, apart from where its controls stand.
_SHOWN = """el => [el.innerText, ...[...el.querySelectorAll("svg")].map(s => s.outerHTML),
               ...[...el.querySelectorAll("canvas")].map(c => c.toDataURL()),
               ...[...el.querySelectorAll("output")].map(o => o.textContent)].join("\\n")"""


class Visit:
    """One page in one mode, and everything that went wrong on it so far (``problems``)."""

    def __init__(self, browser: Any, mode: Mode, *, patience: int = 20_000) -> None:
        self.mode = mode
        self.patience = patience
        self.problems: list[str] = []
        self._context = browser.new_context(
            viewport={"width": mode.width, "height": mode.height},
            color_scheme="dark" if mode.dark else "light",
            has_touch=mode.phone,
            accept_downloads=True,
        )
        self.page = self._context.new_page()
        self.page.set_default_timeout(patience)
        self.page.route("**/*", self._answer)
        self.page.on("console", lambda m: self.problems.append(f"console: {m.text}") if m.type == "error" else None)
        self.page.on("pageerror", lambda error: self.problems.append(f"page error: {error}"))

    def __enter__(self) -> Visit:
        return self

    def __exit__(self, *_: object) -> None:
        self._context.close()

    def _answer(self, route: Any) -> None:
        url = urlsplit(route.request.url)
        if url.scheme in {"file", "data", "blob"} or url.hostname == "127.0.0.1":
            return route.continue_()
        self.problems.append(f"request to another host: {route.request.url}")
        return route.abort()

    def open(self, url: str) -> Visit:
        """Load the page, wait until all of it is drawn, and note what does not draw or does not fit."""
        self.page.goto(url, wait_until="load")
        self.wait_for_drawings()
        self._check_width()
        return self

    def wait_for_drawings(self) -> None:
        """Scroll each chart and widget into view, as a reader does, and wait for it."""
        done = "el => el.dataset.ready || el.dataset.failed"
        for number, element in enumerate(self.page.query_selector_all(DRAWN), start=1):
            name = f"chart or widget {number}"
            element.scroll_into_view_if_needed()
            try:
                self.page.wait_for_function(done, arg=element, timeout=self.patience)
            except playwright.sync_api.TimeoutError:
                self.problems.append(f"{name} was never drawn")
                continue
            if reason := element.get_attribute("data-failed"):
                self.problems.append(f"{name} failed: {reason}")
            elif element.query_selector("canvas") and self.pixels(element)["other"] < 100:
                self.problems.append(f"{name} says it is drawn, and is blank")

    def _check_width(self) -> None:
        width = self.page.evaluate("document.documentElement.scrollWidth")
        if width > self.mode.width:
            self.problems.append(f"the page is {width} px wide in a window of {self.mode.width} px")

    def settle(self) -> None:
        """Give charts the time that throttled redraws take."""
        self.page.wait_for_timeout(400)

    # --- What a reader does with a chart --------------------------------------------------------------------------

    @property
    def charts(self) -> list[Any]:
        return self.page.query_selector_all(".odyssey-chart")

    def pixels(self, chart: Any, without: Sequence[Box] = ()) -> dict[str, int]:
        return self.page.evaluate(f"([chart, boxes]) => ({_PIXELS})(chart, boxes)", [chart, list(without)])

    def panels(self, chart: Any) -> list[dict[str, Any]]:
        return chart.evaluate(_PANELS)

    def brushable(self, chart: Any) -> list[dict[str, Any]]:
        return [panel for panel in self.panels(chart) if panel["brush"]]

    def brush(self, chart: Any, panel: dict[str, Any]) -> bool:
        """Draw a brush over the middle of a panel; tell whether anything else on the chart changed.

        What changes must lie in another panel; on a chart of one panel, beside the brush.
        """
        x, y, w, h = (panel[key] for key in "xywh")
        left, right, top, bottom = x + 0.25 * w, x + 0.6 * w, y + 0.25 * h, y + 0.75 * h
        aside: list[Box] = [(x - 3, y - 3, x + w + 3, y + h + 3)]
        if len(self.panels(chart)) == 1:
            aside = [(left - 5, 0, right + 5, 10_000), (0, top - 5, 10_000, bottom + 5)]
        before = self.pixels(chart, aside)
        canvas = chart.query_selector("canvas")
        canvas.scroll_into_view_if_needed()
        corner = canvas.bounding_box()
        mouse = self.page.mouse
        mouse.move(corner["x"] + left, corner["y"] + top)
        mouse.down()
        mouse.move(corner["x"] + right, corner["y"] + bottom, steps=8)
        mouse.up()
        mouse.move(2, 2)
        self.settle()
        return self.pixels(chart, aside) != before

    def slide(self, slider: Any, shown: Callable[[], Any]) -> bool:
        """Move a slider to its other end with the keyboard; tell whether what is shown changed."""
        before, value = shown(), slider.input_value()
        slider.focus()
        slider.press("Home")
        if slider.input_value() == value:
            slider.press("End")
        self.settle()
        return shown() != before

    def shown_by(self, widget: Any) -> str:
        return widget.evaluate(_SHOWN)

    def reset(self, chart: Any) -> None:
        chart.query_selector("button:text-is('Reset')").click()
        self.wait_for_drawings()
        self.settle()

    def toggle_theme(self) -> None:
        """Press the page's own button until light and dark have changed places."""
        before = self.page.evaluate("document.documentElement.dataset.theme")
        for _ in range(3):
            self.page.click(".theme-switch-button:visible")
            if self.page.evaluate("document.documentElement.dataset.theme") != before:
                return
        raise AssertionError("the theme button changes nothing")

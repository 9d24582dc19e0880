"""The explorer of marginals shows the library's numbers: as data, and in a real browser with the network cut."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import made_up
import numpy as np
import pandas as pd
import pytest
from conftest import BOOK

import odyssey_kit as ok

NAMES = ("V", "NFG")
METRICS = ("test_metric", "seconds")


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return made_up.trials(110, NAMES, n_diverged=2)


def _fitted(table: pd.DataFrame, variant: str, metric: str) -> Any:
    cap = 61.0 if metric == "test_metric" else None
    return ok.fanova(table, space=ok.ODYSSEY_SPACE, variant=variant, target=metric, cap=cap, n_trees=100)


@pytest.fixture(scope="module")
def widget(table: pd.DataFrame) -> ok.MarginalExplorer:
    return ok.MarginalExplorer(table, space=ok.ODYSSEY_SPACE, cap=61.0, n_trees=100, n_points=9, n_cells=5)


def test_the_data_are_the_library_s(table: pd.DataFrame, widget: ok.MarginalExplorer) -> None:
    for variant in NAMES:
        for metric in METRICS:
            shown, model = widget.data["models"][variant][metric], _fitted(table, variant, metric)
            expected = model.importances(2)
            assert [row["parameters"] for row in shown["shares"]] == list(expected["parameters"])
            for column in ("share", "low", "high"):
                assert [row[column] for row in shown["shares"]] == pytest.approx(list(expected[column]), rel=1e-5)
            for name in model.parameters_:
                curve = model.marginal(name, n_points=9)
                for column in ("mean", "low", "high"):
                    assert shown["curves"][name][column] == pytest.approx(list(curve[column]), rel=1e-5)
            first = shown["maps"][0]
            maps = ok.pair_effects(model, n_points=5)
            one = maps[maps["pair"].eq(f"{first['first']} × {first['second']}")]
            assert [v for row in first["mean"] for v in row] == pytest.approx(list(one["mean"]), rel=1e-5)
            assert [v for row in first["interaction"] for v in row] == pytest.approx(
                list(one["interaction"]), rel=1e-4, abs=1e-6
            )


def test_every_trial_is_there_and_a_lost_one_has_no_value(table: pd.DataFrame, widget: ok.MarginalExplorer) -> None:
    for name in NAMES:
        own, shown = table[table["variant"].eq(name)], widget.data["trials"][name]
        assert shown["key"] == list(own["key"])
        values = [v if v is not None else float("nan") for v in shown["values"]["test_metric"]]
        assert values == pytest.approx(list(own["test_metric"]), rel=1e-5, nan_ok=True)
    assert widget.data["trials"]["NFG"]["values"]["test_metric"].count(None) == 2


def test_it_is_set_from_python_and_refuses_strangers(table: pd.DataFrame) -> None:
    few = table.groupby("variant").head(30)
    own = ok.MarginalExplorer(few, space=ok.ODYSSEY_SPACE, metrics=["test_metric"], n_trees=100, n_points=5, n_cells=3)
    own.variant = "NFG"
    assert own.variant == "NFG"
    with pytest.raises(ok.UsageError, match="variant is 'GRU', expected one of V, NFG"):
        own.variant = "GRU"
    assert "NaN" not in json.dumps(own.data)  # a page could not read it


def test_what_cannot_be_fitted_is_said_and_what_is_weak_too(table: pd.DataFrame) -> None:
    flat = table.groupby("variant").head(20).assign(epochs=3)
    own = ok.MarginalExplorer(flat, space=ok.ODYSSEY_SPACE, metrics=["epochs"], n_trees=100)
    assert "no variance to explain" in own.data["models"]["V"]["epochs"]["missing"]
    with pytest.raises(ok.UsageError, match="no search space"):
        ok.MarginalExplorer(flat)
    with pytest.raises(ok.UsageError, match="space is a dict, expected a SearchSpace"):
        ok.MarginalExplorer(flat, space={})  # type: ignore[arg-type]
    with pytest.raises(ok.UsageError, match="n_trees is 3, expected"):
        ok.MarginalExplorer(flat, space=ok.ODYSSEY_SPACE, n_trees=3)
    with pytest.raises(ok.UsageError, match="no column hours"):
        ok.MarginalExplorer(flat, space=ok.ODYSSEY_SPACE, metrics=["hours"])
    with pytest.raises(ok.UsageError, match="metrics is empty, expected"):
        ok.MarginalExplorer(flat, space=ok.ODYSSEY_SPACE, metrics=[])


def test_only_the_metric_is_called_a_loss_and_has_its_unit(table: pd.DataFrame) -> None:
    few = table.groupby("variant").head(20)
    asked = ["test_metric", "train_loss", "gradient_norm_max", "seconds"]
    own = ok.MarginalExplorer(few, space=ok.ODYSSEY_SPACE, metrics=asked, n_trees=100, n_points=5, n_cells=3)
    assert [(one["words"], one["unit"]) for one in own.data["metrics"]] == [
        ("test loss", "nats a frame"),
        ("train loss", ""),
        ("gradient norm max", ""),
        ("processor time of a trial", "seconds"),
    ]


def test_choices_are_named_and_their_cells_are_as_wide_as_they_are_probable() -> None:
    rng = np.random.default_rng(0)
    space = ok.SearchSpace(
        {
            "cell": ok.Categorical(choices=("relu", "tanh", "sine")),
            "one": ok.Categorical(choices=("only",)),
            "depth": ok.UniformInteger(low=1, high=4),
            "rate": ok.LogUniform(low=1e-3, high=1e-1),
        }
    )
    points = pd.DataFrame([space.from_unit(unit) for unit in rng.random((60, 4))]).add_prefix("params_")
    loss = points["params_cell"].map({"relu": 0.0, "tanh": 1.0, "sine": 3.0}) + points["params_depth"]
    loss += 0.1 * rng.standard_normal(60)
    trials = made_up.trials(60, ("V",), n_diverged=0).filter(regex="^(?!params_)")
    trials = pd.concat([trials, points], axis=1).assign(test_metric=loss, valid_metric=loss)
    own = ok.MarginalExplorer(trials, space=space, metrics=["test_metric"], n_trees=100, n_points=5, n_cells=3)
    shown = own.data["models"]["V"]["test_metric"]
    assert shown["curves"]["cell"]["value"] == ["relu", "tanh", "sine"]
    maps = {(one["first"], one["second"]): one for one in shown["maps"]}
    pair = maps["cell", "rate"]
    assert pair["x"] == ["relu", "tanh", "sine"] and pair["y"] == pytest.approx([1e-3, 1e-2, 1e-1])
    assert pair["x_edges"] == pytest.approx([0, 1 / 3, 2 / 3, 1], rel=1e-5)
    assert pair["y_edges"] == [0, 0.25, 0.75, 1]
    assert maps["cell", "one"]["y_edges"] == [0, 1]
    assert all(value is not None for one in maps.values() for row in one["interaction"] for value in row)
    ticks = {one["name"]: one["ticks"] for one in own.data["parameters"]}
    assert ticks["cell"] == [["0.166667", "relu"], ["0.5", "tanh"], ["0.833333", "sine"]]


# ---- in a browser ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser() -> Any:
    return pytest.importorskip("browser", reason="playwright is not installed: pip install -e '.[dev]'")


@pytest.fixture(scope="module")
def page_of(widget: ok.MarginalExplorer, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Write a page that holds the widget's state, as a built book does, and the book's own host."""
    folder: Path = tmp_path_factory.mktemp("widget")
    shutil.copytree(BOOK / "assets", folder / "_static")
    state = widget.get_state()
    values = {key: state[key] for key in ("data", "variant", "metric", "_esm", "_css")}
    saved = {"state": {"one": {"model_module": "anywidget", "model_name": "AnyModel", "state": values}}}
    parts = {"widget-state": saved, "widget-view": {"model_id": "one"}}
    safe = {kind: json.dumps(body).replace("<", "\\u003c") for kind, body in parts.items()}
    scripts = "".join(
        f'<script type="application/vnd.jupyter.{kind}+json">{body}</script>' for kind, body in safe.items()
    )
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    head += '<link rel="stylesheet" href="_static/odyssey.css">'
    html = f'<!doctype html><html data-theme="light"><head>{head}</head><body>{scripts}'
    html += '<script defer src="_static/widget-host.js"></script></body></html>'
    (folder / "page.html").write_text(html, encoding="utf-8")
    return (folder / "page.html").as_uri()


@pytest.fixture
def visit(browser: Any, chromium: Any, page_of: str) -> Any:
    with browser.Visit(chromium, browser.DESKTOP) as opened:
        opened.open(page_of)
        yield opened
        assert opened.problems == []


def _number(text: str) -> float:
    return float(text.replace("−", "-").removesuffix(" %"))


def _four(value: float) -> str:
    return f"{float(f'{value:.4g}'):g}"


SHARES = """[...document.querySelectorAll('table.shares tr')].map(row =>
  [row.dataset.effect, ...[...row.querySelectorAll('td.number')].map(cell => cell.textContent)])"""
CURVE = """name => [...document.querySelectorAll(`details tr[data-parameter=${name}]`)].map(row =>
  [...row.querySelectorAll('td')].map(cell => cell.textContent))"""


@pytest.mark.browser
def test_the_page_shows_the_library_s_shares_and_curves_for_each_choice(visit: Any, table: pd.DataFrame) -> None:
    page = visit.page
    for variant in NAMES:
        for metric in METRICS:
            page.select_option("select[name=variant]", variant)
            page.select_option("select[name=metric]", metric)
            model = _fitted(table, variant, metric)
            expected = model.importances(2).set_index("parameters")
            shown = {name: cells for name, *cells in page.evaluate(SHARES)}
            assert list(shown) == list(expected.index)
            for name, (share, ends) in shown.items():
                assert _number(share) == pytest.approx(max(0.0, 100 * expected.loc[name, "share"]), abs=0.051)
                low, high = map(float, re.fullmatch(r"([\d.]+) to ([\d.]+) %", ends).groups())  # type: ignore[union-attr]
                assert low == pytest.approx(max(0.0, 100 * expected.loc[name, "low"]), abs=0.051)
                assert high == pytest.approx(100 * expected.loc[name, "high"], abs=0.051)
            for name in model.parameters_:
                curve, rows = model.marginal(name, n_points=9), page.evaluate(CURVE, name)
                assert len(rows) == len(curve)
                for column, place in (("mean", 1), ("low", 2), ("high", 3)):
                    assert [_number(row[place]) for row in rows] == pytest.approx(
                        list(curve[column]), rel=1e-4, abs=1e-4
                    )


@pytest.mark.browser
def test_the_keyboard_reads_a_curve_and_a_map(visit: Any, table: pd.DataFrame) -> None:
    page, model = visit.page, _fitted(table, "V", "test_metric")
    page.focus("svg[data-parameter=learning_rate]")
    for _ in range(12):
        page.keyboard.press("ArrowRight")
    last = model.marginal("learning_rate", n_points=9).iloc[-1]
    assert f"mean test loss {_four(last['mean'])} (" in page.inner_text("output >> nth=0")
    pair = "hidden_size × learning_rate"
    page.focus(f"svg[data-pair='{pair}']")
    for key in ("ArrowRight", "ArrowUp"):
        for _ in range(9):
            page.keyboard.press(key)
    maps = ok.pair_effects(model, n_points=5)
    corner = maps[maps["pair"].eq(pair)].sort_values(["quantile_x", "quantile_y"]).iloc[-1]
    said = page.inner_text("output >> nth=1")
    assert f"mean test loss {_four(corner['mean'])}," in said
    assert "hidden size 200" in said


@pytest.mark.browser
def test_maps_change_their_meaning_and_escape_brings_the_start_back(visit: Any) -> None:
    page = visit.page
    start = visit.shown_by(page.query_selector(".odyssey-widget"))
    page.focus("select[name=shown]")
    page.select_option("select[name=shown]", "interaction")
    assert page.evaluate("document.activeElement.name") == "shown"
    assert visit.shown_by(page.query_selector(".odyssey-widget")) != start
    page.select_option("select[name=variant]", "NFG")
    page.select_option("select[name=metric]", "seconds")
    assert "processor time" in page.inner_text("p.sentence")
    page.check("label:has-text('beside it') input")
    assert page.locator("path.beside").count() == 4
    page.focus("select[name=metric]")
    page.keyboard.press("Escape")
    chosen = "[...document.querySelectorAll('select')].map(select => [select.name, select.value])"
    assert dict(page.evaluate(chosen)) == {"variant": "V", "metric": "test_metric", "shown": "mean"}
    assert visit.shown_by(page.query_selector(".odyssey-widget")) == start


LISTENERS = """async source => {
  const { data, _esm } = source, listeners = [];
  const values = { data, metric: data.metrics[0].name, variant: data.variants[0].name };
  const model = {
    get: name => values[name], set: (name, value) => { values[name] = value; }, save_changes: () => {},
    on: (name, callback) => listeners.push([name, callback].join()),
    off: (name, callback) => listeners.splice(listeners.indexOf([name, callback].join()), 1),
  };
  const url = URL.createObjectURL(new Blob([_esm], { type: "text/javascript" }));
  const { default: { render } } = await import(url);
  const leave = render({ model, el: document.createElement("div") }), during = listeners.length;
  leave();
  return [during, listeners.length];
}"""


@pytest.mark.browser
def test_a_view_that_goes_leaves_no_listener_behind(visit: Any, widget: ok.MarginalExplorer) -> None:
    state = widget.get_state()
    assert visit.page.evaluate(LISTENERS, {key: state[key] for key in ("data", "_esm")}) == [2, 0]


@pytest.mark.browser
def test_a_trial_without_a_value_is_not_counted_as_one_above(visit: Any, table: pd.DataFrame) -> None:
    page = visit.page
    page.select_option("select[name=variant]", "NFG")
    noted = page.text_content("svg[data-parameter=learning_rate] text.lost")
    assert noted.endswith("2 ✕ without a value")
    above = re.match(r"(\d+) ✕ above", noted)
    crosses = page.locator("svg[data-parameter=learning_rate] text:text-is('✕')").count()
    assert crosses == 2 + (int(above.group(1)) if above else 0)


@pytest.mark.browser
def test_it_fits_a_phone_and_its_controls_a_finger_in_light_and_dark(browser: Any, chromium: Any, page_of: str) -> None:
    with browser.Visit(chromium, browser.PHONE) as opened:
        opened.open(page_of)
        heights = "[...document.querySelectorAll('select, button')].map(e => e.getBoundingClientRect().height)"
        assert min(opened.page.evaluate(heights)) >= 44
        ink = "getComputedStyle(document.querySelector('.odyssey-marginals path.curve')).stroke"
        light = opened.page.evaluate(ink)
        opened.page.evaluate("document.documentElement.dataset.theme = 'dark'")
        assert opened.page.evaluate(ink) != light
        assert opened.problems == []

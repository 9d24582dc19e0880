"""A chart draws the numbers of its table: all of them, unchanged, in fixed colours, at every width, light and dark."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import altair as alt
import made_up
import numpy as np
import pandas as pd
import pytest
import vl_convert

import odyssey_kit as ok
from odyssey_kit.charts import display, palette, theme


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return made_up.trials(n_per_cell=20, n_diverged=4)


@pytest.fixture(scope="module")
def charts(table: pd.DataFrame) -> dict[str, Any]:
    """One of every public figure."""
    model = ok.fanova(table, space=ok.ODYSSEY_SPACE, pooled=True, estimand="forest", n_trees=10, cap=61.0)
    history = made_up.curves(table)
    one = history[history["key"].eq(table["key"].iloc[0])]
    surface = ok.known_surface("bench")
    known = ok.fanova(surface.trials(120), target="loss", space=surface.space)
    shares = ok.charts.stacked([known.importances(2).assign(way="corrected")])
    whole = ok.Trials.from_frame(made_up.trials(n_per_cell=40, n_diverged=4), space=ok.ODYSSEY_SPACE)
    studied = dataclasses.replace(whole, curves=made_up.curves(whole.frame))
    again = made_up.again(whole.frame[whole.frame["variant"].isin(["V", "NOAF"])], study="again")
    vanilla = ok.fanova(whole, variant="V", n_trees=100, cap=61.0)
    return {
        "search_explorer": ok.charts.search_explorer(studied),
        "boxes_beside_paper": ok.charts.boxes_beside_paper(whole, ok.compare(whole, margin=0.05)),
        "shares_beside_paper": ok.charts.shares_beside_paper(vanilla, ok.paper_shares(whole)),
        "seeds_chart": ok.charts.seeds_chart(again, of=whole),
        "pairs_chart": ok.charts.pairs_chart(made_up.paired(table)),
        "pair_maps": ok.charts.pair_maps(vanilla, n_points=7),
        "variant_sizes": ok.charts.variant_sizes(),
        "trials_explorer": ok.charts.trials_explorer(table),
        "learning_rate_basin": ok.charts.learning_rate_basin(table),
        "variant_boxes": ok.charts.variant_boxes(table, top=0.25),
        "comparison_chart": ok.charts.comparison_chart(ok.compare(table, top=0.25)),
        "importance_bars": ok.charts.importance_bars(model),
        "marginals": ok.charts.marginals(model, n_points=20),
        "training_curves": ok.charts.training_curves(one),
        "coverage_chart": ok.charts.coverage_chart(ok.measured_coverage()),
        "published_boxes": ok.charts.published_boxes(ok.retest_published()),
        "shares_against_truth": ok.charts.shares_against_truth(shares, surface.true_shares()),
    }


FIGURES = (
    "variant_sizes",
    "trials_explorer",
    "learning_rate_basin",
    "variant_boxes",
    "comparison_chart",
    "importance_bars",
    "marginals",
    "training_curves",
    "coverage_chart",
    "published_boxes",
    "shares_against_truth",
    "search_explorer",
    "boxes_beside_paper",
    "shares_beside_paper",
    "pair_maps",
    "pairs_chart",
    "seeds_chart",
)
each_figure = pytest.mark.parametrize("figure", FIGURES)


def strings(node: Any) -> Iterator[str]:
    """Yield every string of a specification that is not data, a field or a description."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key not in ("data", "datasets", "usermeta", "description", "$schema"):
                yield from strings(value)
    elif isinstance(node, list):
        for value in node:
            yield from strings(value)
    elif isinstance(node, str):
        yield node


def rows_with(spec: dict[str, Any], *columns: str) -> list[dict[str, Any]]:
    """Return the rows of the first data set that has these columns."""
    for rows in spec["datasets"].values():
        if rows and set(columns) <= set(rows[0]):
            return rows
    raise AssertionError(f"no data set has {columns}")


def width_of(svg: str) -> float:
    found = re.search(r'<svg[^>]*\bwidth="([\d.]+)"', svg)
    assert found
    return float(found.group(1))


# ---- every figure -------------------------------------------------------------------------------


def test_the_list_of_figures_is_the_public_one(charts: dict[str, Any]) -> None:
    made_of_charts = {
        name for name in ok.charts.__all__ if name in FIGURES or name.endswith(("_chart", "_bars", "_boxes"))
    }
    assert made_of_charts == set(FIGURES) == set(charts)


@each_figure
def test_a_chart_survives_the_way_through_json(charts: dict[str, Any], figure: str) -> None:
    text = charts[figure].to_json()
    again = alt.Chart.from_json(text)
    assert json.loads(again.to_json()) == json.loads(text)
    assert "NaN" not in text
    assert "Infinity" not in text


@each_figure
@pytest.mark.parametrize("width", [theme.PHONE_WIDTH, theme.COLUMN_WIDTH])
def test_a_chart_fits_the_phone_and_the_column(charts: dict[str, Any], figure: str, width: int) -> None:
    spec = display.resolved(charts[figure], width=width)
    svg = vl_convert.vegalite_to_svg(json.dumps(spec))
    # The stand-in font of a test machine is a little wider or narrower than the book's.
    assert 0.7 * width < width_of(svg) <= 1.03 * width


@each_figure
def test_a_chart_fits_the_narrowest_full_column(charts: dict[str, Any], figure: str) -> None:
    spec = display.resolved(charts[figure], width=theme.NARROW_BELOW)
    assert width_of(vl_convert.vegalite_to_svg(json.dumps(spec))) <= theme.NARROW_BELOW


def test_a_long_image_fits_the_narrowest_full_column() -> None:
    image = pd.DataFrame([(x, y, 0.5) for x in range(120) for y in range(8)], columns=["step", "row", "ink"])
    spec = display.resolved(ok.charts.image_slices(image), width=theme.NARROW_BELOW)
    assert 400 < width_of(vl_convert.vegalite_to_svg(json.dumps(spec))) <= theme.NARROW_BELOW


@each_figure
@pytest.mark.parametrize("dark", [False, True])
def test_a_chart_becomes_a_picture_without_a_network(charts: dict[str, Any], figure: str, dark: bool) -> None:
    picture = ok.charts.picture(charts[figure], width=theme.PHONE_WIDTH, dark=dark, scale=1)
    assert picture.startswith(b"\x89PNG")
    assert len(picture) > 5_000


@each_figure
def test_every_colour_of_a_chart_has_a_partner_for_dark_pages(charts: dict[str, Any], figure: str) -> None:
    spec = charts[figure].to_dict()
    partners = spec["usermeta"]["odyssey"]["dark"]
    used = {text for text in strings(spec) if text.startswith("#")}
    assert used
    assert used <= set(partners)
    # Names of colours would not be replaced.
    named = set(strings(spec)) & {"black", "white", "red", "blue", "green", "grey", "gray", "steelblue", "orange"}
    assert not named
    dark = {text for text in strings(display.resolved(spec, width=704, dark=True)) if text.startswith("#")}
    assert dark == {partners[colour] for colour in used}


@each_figure
def test_a_chart_says_its_finding_in_words(charts: dict[str, Any], figure: str) -> None:
    description = charts[figure].description
    assert re.search(r"\d", description)
    assert description.endswith(".")
    assert not description.lower().startswith(("a chart", "chart", "figure", "plot"))


@each_figure
def test_no_text_stands_on_its_side(charts: dict[str, Any], figure: str) -> None:
    spec = vl_convert.vegalite_to_vega(json.dumps(display.resolved(charts[figure], width=704)))
    text = json.dumps(spec)
    assert not re.search(r'"(labelAngle|titleAngle)": ?\{?[^0]*?(90|270|-90)', text)


@each_figure
def test_tooltips_have_two_to_six_lines(charts: dict[str, Any], figure: str) -> None:
    tooltips = [node["tooltip"] for node in encodings(charts[figure].to_dict()) if "tooltip" in node]
    assert tooltips
    assert all(2 <= len(lines) <= 6 for lines in tooltips)


def encodings(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        if "encoding" in node:
            yield node["encoding"]
        for value in node.values():
            yield from encodings(value)
    elif isinstance(node, list):
        for value in node:
            yield from encodings(value)


# ---- colours ------------------------------------------------------------------------------------


def test_a_variant_keeps_its_colour_whatever_else_is_on_the_chart(table: pd.DataFrame) -> None:
    some = table[table["variant"].isin(["V", "NFG", "NOAF"])]
    for frame in (table, some):
        for figure in (ok.charts.trials_explorer, ok.charts.learning_rate_basin, ok.charts.variant_boxes):
            chart = figure(frame, top=0.25) if figure is ok.charts.variant_boxes else figure(frame)
            scales = [e["color"]["scale"] for e in encodings(chart.to_dict()) if "scale" in e.get("color", {})]
            assert scales
            for scale in scales:
                drawn = dict(zip(scale["domain"], scale["range"], strict=True))
                assert drawn["V"] == "#1f2933"
                assert drawn["NFG"] == "#d55e00"
                assert drawn["NOAF"] == "#0072b2"


def test_the_nine_have_nine_colours_and_strangers_have_others() -> None:
    nine = [palette.variant_colour(name) for name in palette.PAPER_ORDER]
    assert len(set(nine)) == 9
    strangers = [palette.variant_colour(name, among=["V", "mine", "yours"]) for name in ("mine", "yours")]
    assert len(set(strangers) | set(nine)) == 11


def test_a_light_colour_has_one_dark_partner() -> None:
    pairs = [colour for colour in vars(palette).values() if isinstance(colour, palette.Colour)]
    pairs += [palette.variant_colour(name) for name in ok.VARIANTS]
    assert all(palette.DARK[colour.light] == colour.dark for colour in pairs if len(colour.light) == 7)


def test_vanilla_is_drawn_last(table: pd.DataFrame) -> None:
    rows = rows_with(ok.charts.trials_explorer(table).to_dict(), "key", "test_metric")
    assert [row["variant"] for row in rows[-20:]] == ["V"] * 20


# ---- values -------------------------------------------------------------------------------------


def test_sizes_are_those_of_the_table() -> None:
    sizes = ok.list_variants().query("family == 'odyssey'")
    rows = rows_with(ok.charts.variant_sizes(sizes).to_dict(), "parameters", "share")
    assert {row["variant"]: row["parameters"] for row in rows} == sizes["parameters"].to_dict()
    assert {row["variant"]: row["share"] for row in rows}["NIG"] == 56_900 / 75_900


def test_the_explorer_draws_every_trial_unchanged(table: pd.DataFrame) -> None:
    rows = {row["key"]: row for row in rows_with(ok.charts.trials_explorer(table).to_dict(), "key", "test_metric")}
    assert len(rows) == len(table) == 180
    for trial in table.itertuples():
        row = rows[trial.key]
        assert row["params_learning_rate"] == trial.params_learning_rate
        assert row["params_hidden_size"] == trial.params_hidden_size
        assert row["params_input_noise_std"] == trial.params_input_noise_std
        if trial.state == "COMPLETE":
            assert (row["test_metric"], row["outcome"]) == (trial.test_metric, "drawn")
        else:
            assert (row["test_metric"], row["outcome"]) == (None, "diverged")


def test_the_explorers_parameters_have_the_names_that_pages_and_tests_rely_on(charts: dict[str, Any]) -> None:
    spec = charts["trials_explorer"].to_dict()
    names = {param["name"]: param for param in spec["params"]}
    assert set(names) == {
        "explorer_brush",
        "explorer_brush_settings",
        "explorer_variant",
        "explorer_hidden_size",
    }
    assert names["explorer_hidden_size"]["bind"]["input"] == "range"
    assert names["explorer_variant"]["bind"] == "legend"


def test_diverged_trials_have_a_lane_and_a_count(table: pd.DataFrame) -> None:
    spec = ok.charts.trials_explorer(table).to_dict()
    assert rows_with(spec, "words")[0]["words"] == "4 diverged"
    calm = table[table["state"].eq("COMPLETE")]
    assert "diverged" not in json.dumps(ok.charts.variant_boxes(calm, top=0.25).to_dict()["datasets"])


def test_an_absurd_but_finite_loss_is_counted_and_not_off_scale(table: pd.DataFrame) -> None:
    absurd = table.assign(test_metric=table["test_metric"].where(table.index != 0, 1e9))
    spec = ok.charts.trials_explorer(absurd).to_dict()
    assert "1 above 61" in rows_with(spec, "words")[0]["words"]
    domains = [e["y"]["scale"]["domain"] for e in encodings(spec) if e.get("y", {}).get("field") == "test_metric"]
    assert domains
    assert all(high < 100 for _, high in domains)


def test_the_basins_band_holds_the_middle_half_and_counts_the_diverged_as_worst(table: pd.DataFrame) -> None:
    rows = rows_with(ok.charts.learning_rate_basin(table).to_dict(), "part", "low", "high")
    band = [row for row in rows if row["part"] == "band" and row["variant"] == "V"]
    values = table["test_metric"].fillna(math.inf)
    top = max(row["high"] for row in rows if row["high"] is not None)
    for row in band:
        bin_ = np.floor(np.log10(table["params_learning_rate"]) * 2) == math.floor(
            math.log10(row["params_learning_rate"]) * 2
        )
        low, high = np.quantile(values[bin_], [0.25, 0.75], method="inverted_cdf")
        assert row["low"] == pytest.approx(low)
        assert row["high"] == pytest.approx(min(high, top))
    points = [row for row in rows if row["part"] in ("drawn", "diverged")]
    assert len(points) == len(table)


def test_where_another_search_ended_is_a_dashed_rule_in_every_panel(table: pd.DataFrame) -> None:
    spec = ok.charts.learning_rate_basin(table, box=1e-4).to_dict()
    rows = [row for row in rows_with(spec, "part", "low", "high") if row["part"] == "box"]
    assert [row["variant"] for row in rows] == list(palette.PAPER_ORDER)
    assert all(row["panel"].partition(" · ")[0] == row["variant"] for row in rows)
    assert {row["params_learning_rate"] for row in rows} == {1e-4}
    assert [row["words"] for row in rows] == ["box up to 10⁻⁴", *[""] * 8]
    rule = {"type": "rule", "strokeDash": [4, 3]}
    assert rule in [layer["mark"] for layer in spec["spec"]["layer"]]
    assert rule not in [layer["mark"] for layer in ok.charts.learning_rate_basin(table).to_dict()["spec"]["layer"]]
    for box in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(
            ok.UsageError, match=r"^box is .*, expected a learning rate above zero, or None for no rule$"
        ):
            ok.charts.learning_rate_basin(table, box=box)


def test_a_box_is_the_quartiles_of_its_trials(table: pd.DataFrame) -> None:
    spec = ok.charts.variant_boxes(table, top=0.25).to_dict()
    # The lane of diverged trials has a table of its own, with words.
    summaries = [rows for rows in spec["datasets"].values() if "q25" in rows[0] and "words" not in rows[0]]
    selected = ok.select_top(table, top=0.25).frame
    for frame, rows in zip((table, selected), sorted(summaries, key=lambda rows: -rows[0]["trials"]), strict=True):
        assert [row["variant"] for row in rows] == list(palette.PAPER_ORDER)
        for row in rows:
            cell = frame.loc[frame["variant"].eq(row["variant"]), "test_metric"]
            values = cell.dropna()
            assert [row["q25"], row["median"], row["q75"]] == pytest.approx(list(values.quantile([0.25, 0.5, 0.75])))
            assert (row["trials"], row["lost"]) == (len(cell), len(cell) - len(values))


def test_a_comparison_is_drawn_as_it_is_printed(table: pd.DataFrame) -> None:
    comparison = ok.compare(table, top=0.25)
    rows = rows_with(ok.charts.comparison_chart(comparison).to_dict(), "difference", "low", "high")
    expected = comparison.to_frame().set_index("variant")
    for row in rows:
        for name in ("difference", "low", "high", "verdict"):
            assert row[name] == expected.loc[row["variant"], name]
    shapes = {verdict.shape for verdict in palette.VERDICTS.values()}
    assert len(shapes) == len(palette.VERDICTS)


def test_a_comparison_is_told_verdict_by_verdict(table: pd.DataFrame) -> None:
    four = ok.compare(table, top=0.25).to_frame().head(4)
    told = four.assign(variant=list("abcd"), verdict=list(palette.VERDICTS), difference=[2.0, 0.1, 0.0, 1.0])
    said = ok.charts.comparison_chart(told.assign(low=-0.5, high=3.0)).description
    assert said == (
        "JSB Chorales: 4 variants against V in test loss, nats a frame. Different: a (+2, -0.5 to +3). "
        "Different but negligible: b (+0.1, -0.5 to +3). Equivalent: c. Undecided: d."
    )


def test_only_some_marginals_are_drawn_and_none_is_refused(table: pd.DataFrame) -> None:
    model = ok.fanova(table, space=ok.ODYSSEY_SPACE, pooled=True, estimand="forest", n_trees=10, cap=61.0)
    assert len(ok.charts.marginals(model, n_points=5, only=["momentum"]).to_dict()["concat"]) == 1
    for only in ([], ["dropout"]):
        with pytest.raises(ok.UsageError, match=r"^only is \[.*\], expected some of hidden_size, .*, or None for all$"):
            ok.charts.marginals(model, only=only)


def test_marginals_and_shares_are_those_of_the_model(table: pd.DataFrame) -> None:
    model = ok.fanova(table, space=ok.ODYSSEY_SPACE, pooled=True, estimand="forest", n_trees=10, cap=61.0)
    bars = rows_with(ok.charts.importance_bars(model).to_dict(), "share")
    assert [row["share"] for row in bars] == pytest.approx(list(model.importances()["share"]))
    drawn = ok.charts.marginals(model, n_points=20).to_dict()["datasets"].values()
    curves = {rows[0]["parameter"]: rows for rows in drawn}
    for name in model.parameters_:
        expected = model.marginal(name, n_points=20)
        assert [row["mean"] for row in curves[name]] == pytest.approx(list(expected["mean"]))
        assert [row["value"] for row in curves[name]] == pytest.approx(list(expected["value"]))


def test_the_search_explorer_draws_every_trial_and_keeps_its_curve(charts: dict[str, Any]) -> None:
    spec = charts["search_explorer"].to_dict()
    rows = {row["key"]: row for row in rows_with(spec, "key", "curve_loss")}
    table = made_up.trials(n_per_cell=40, n_diverged=4)
    curves = made_up.curves(table).set_index("key")
    assert len(rows) == len(table)
    for trial in table.iloc[::37].itertuples():
        row, curve = rows[trial.key], curves.loc[[trial.key]]
        for name in ("learning_rate", "hidden_size", "input_noise_std"):
            assert row[f"params_{name}"] == getattr(trial, f"params_{name}")
        assert row["from_one"] == pytest.approx(1 - trial.params_momentum)
        assert row["curve_epoch"] == curve["epoch"].tolist()
        assert row["curve_loss"] == pytest.approx([*curve["test_metric"]], rel=1e-4)
    names = {param["name"] for param in spec["params"]}
    assert names == {"search_brush_rate", "search_brush_momentum", "search_picked", "search_variant"}


def shown_by(spec: dict[str, Any], **chosen: Any) -> str:
    """Return the picture of a chart, as SVG, after a reader has chosen something."""
    spec = json.loads(json.dumps(spec))
    for param in spec["params"]:
        if param["name"] in chosen:
            param["value"] = chosen[param["name"]]
    return vl_convert.vegalite_to_svg(json.dumps(spec))


def test_the_search_explorer_counts_lost_trials_as_the_table_beside_the_paper_does() -> None:
    frame = made_up.trials(n_per_cell=40, n_diverged=0)
    kept, above, *lost = frame.index[frame["variant"].eq("NOAF")][:13]
    frame.loc[[kept, *lost], "state"] = "DIVERGED"
    frame.loc[[kept, above, *lost], "test_metric"] = [9.0, 500.0, *[math.nan] * 11]
    whole = ok.Trials.from_frame(frame, space=ok.ODYSSEY_SPACE)
    svg = shown_by(ok.charts.search_explorer(dataclasses.replace(whole, curves=made_up.curves(frame))).to_dict())
    drawn = {name: float(median) for median, name in re.findall(r'aria-label="median: ([\d.]+); variant: (\w+)', svg)}
    ends = re.findall(r'aria-label="low: ([\d.]+); variant: (\w+); high: ([\d.]+)', svg)
    spread = {name: (float(low), float(high)) for low, name, high in ends}
    table = ok.beside_figure3(frame, best=False).set_index("variant")
    assert table.loc["NOAF", "q75"] > 60 > table.loc["NOAF", "median"]
    assert drawn == pytest.approx(table["median"].to_dict())
    assert set(spread) == set(table.index)
    for name, row in table.iterrows():
        assert spread[name] == pytest.approx((row["q25"], row["q75"]), rel=1e-5)
    assert "27 + 13 ✕" in svg


def test_the_search_explorer_rings_a_trial_that_is_selected() -> None:
    whole = ok.Trials.from_frame(made_up.trials(n_per_cell=6, n_diverged=2), space=ok.ODYSSEY_SPACE)
    frame = whole.frame.set_index("key")
    spec = ok.charts.search_explorer(dataclasses.replace(whole, curves=made_up.curves(whole.frame))).to_dict()
    other, best = frame[frame["variant"].eq("CIFG")].index[2], frame["valid_metric"].idxmin()
    noaf = frame.loc[frame["variant"].eq("NOAF"), "valid_metric"].idxmin()
    only = {"search_variant": [{"variant": "NOAF"}]}
    pointed = {"search_picked": [{"key": other}]}
    for chosen, key in (({}, best), (only, noaf), (pointed, other), (only | pointed, noaf)):
        (words,) = re.findall(r">(\w+: [\d.]+ after \d+ epochs)<", shown_by(spec, **chosen))
        trial = frame.loc[key]
        assert words == f"{trial['variant']}: {trial['test_metric']:.4g} after {trial['epochs']} epochs"


def test_words_stand_above_every_curve_of_the_search_explorer(charts: dict[str, Any]) -> None:
    panel = charts["search_explorer"].to_dict()["concat"][1]["concat"][1]
    words = [layer["encoding"]["y"]["value"] for layer in panel["layer"] if layer["mark"]["type"] == "text"]
    curves = [layer["encoding"]["y"]["scale"] for layer in panel["layer"] if "scale" in layer["encoding"].get("y", {})]
    assert len(words) == 3 and curves
    assert all(scale["clamp"] and scale["range"][1] > max(words) + 11 for scale in curves)


def test_no_pair_has_a_share_below_zero() -> None:
    model = ok.fanova(made_up.trials(n_per_cell=40, n_diverged=0), variant="V", space=ok.ODYSSEY_SPACE, n_trees=100)
    assert model.importances(2)["share"].min() < 0
    panels = ok.charts.pair_maps(model, n_points=3).to_dict()["concat"]
    said = [panel["title"]["subtitle"] for panel in panels]
    assert len(said) == 6
    assert all(re.fullmatch(r"\d+\.\d % of the variance", words) for words in said)


def test_a_trial_without_a_curve_has_an_empty_one() -> None:
    whole = ok.Trials.from_frame(made_up.trials(n_per_cell=6, n_diverged=0), space=ok.ODYSSEY_SPACE)
    curves = made_up.curves(whole.frame)
    lost = whole.frame["key"].iloc[7]
    chart = ok.charts.search_explorer(dataclasses.replace(whole, curves=curves[curves["key"].ne(lost)]))
    rows = {row["key"]: row for row in rows_with(chart.to_dict(), "key", "curve_loss")}
    assert (rows[lost]["curve_epoch"], rows[lost]["curve_loss"]) == ([], [])


def test_the_search_explorer_draws_the_curve_of_its_metric() -> None:
    whole = ok.Trials.from_frame(made_up.trials(n_per_cell=6, n_diverged=0), space=ok.ODYSSEY_SPACE)
    curves = made_up.curves(whole.frame)
    studied = dataclasses.replace(whole, curves=curves)
    spec = ok.charts.search_explorer(studied, metric="valid_metric").to_dict()
    rows = {row["key"]: row for row in rows_with(spec, "key", "curve_loss")}
    key = whole.frame["key"].iloc[3]
    assert rows[key]["curve_loss"] == pytest.approx([*curves.set_index("key").loc[[key], "valid_metric"]], rel=1e-4)
    with pytest.raises(ok.UsageError, match="the curves have no column n_parameters"):
        ok.charts.search_explorer(studied, metric="n_parameters")


def test_the_search_explorer_of_one_trial_relates_nothing_and_without_a_curve_is_refused() -> None:
    one = ok.Trials.from_frame(made_up.trials(1, ("V",), n_diverged=0), space=ok.ODYSSEY_SPACE)
    curves = made_up.curves(one.frame)
    said = ok.charts.search_explorer(dataclasses.replace(one, curves=curves)).to_dict()["description"]
    assert "correlation" not in said and "best trial by validation is one of V" in said
    for none in (curves.iloc[:0], curves.assign(test_metric=math.inf)):
        with pytest.raises(ok.UsageError, match="no curve of these 1 trials has a finite test_metric, expected"):
            ok.charts.search_explorer(dataclasses.replace(one, curves=none))


def test_boxes_and_shares_beside_the_paper_are_those_of_the_tables(charts: dict[str, Any]) -> None:
    whole = made_up.trials(n_per_cell=40, n_diverged=4)
    expected: dict[Any, set[float]] = {}
    for best in (False, True):
        for row in ok.beside_figure3(whole, best=best).itertuples():
            expected.setdefault((row.variant, "these trials"), set()).add(round(row.mean, 9))
            expected.setdefault((row.variant, "the paper"), set()).add(round(row.paper_mean, 9))
    drawn: dict[Any, set[float]] = {}
    for rows in charts["boxes_beside_paper"].to_dict()["datasets"].values():
        for row in rows:
            drawn.setdefault((row["variant"], row["source"]), set()).add(round(row["mean"], 9))
    assert drawn == expected
    rows = rows_with(charts["shares_beside_paper"].to_dict(), "way", "share")
    pie = {row["effect"]: row["share"] for row in rows if row["way"] == "the paper’s pie"}
    assert pie["learning rate"] == pytest.approx(0.913)
    assert pie["all interactions"] == pytest.approx(0.053)


def test_the_paper_s_curve_is_drawn_where_it_has_one(table: pd.DataFrame) -> None:
    model = ok.fanova(table, space=ok.ODYSSEY_SPACE, pooled=True, estimand="forest", n_trees=10, cap=61.0)
    figure = ok.load_published("odyssey-figure4").frame.query("task == 'jsb-chorales' and quantity == 'metric'")
    sets = ok.charts.marginals(model, n_points=9, published=figure).to_dict()["datasets"].values()
    drawn = [[row["marginal"] for row in rows] for rows in sets if "marginal" in rows[0]]
    expected = [list(rows["marginal"]) for _, rows in figure.groupby("parameter") if len(rows)]
    assert sorted(drawn) == sorted(expected)


def test_curves_of_two_trials_are_refused(table: pd.DataFrame) -> None:
    with pytest.raises(ok.UsageError, match="180 trials, expected one"):
        ok.charts.training_curves(made_up.curves(table))


def test_curves_of_a_diverged_trial_say_so(table: pd.DataFrame) -> None:
    history = made_up.curves(table)
    lost = table.loc[table["state"].eq("DIVERGED"), "key"].iloc[0]
    assert "diverged" in ok.charts.training_curves(history[history["key"].eq(lost)]).description


def test_a_missing_column_is_named(table: pd.DataFrame) -> None:
    with pytest.raises(ok.UsageError, match="no column params_learning_rate"):
        ok.charts.learning_rate_basin(table.drop(columns="params_learning_rate"))


@pytest.mark.parametrize("nothing", ["x", None])
def test_what_is_no_table_is_named(nothing: Any) -> None:
    for chart in (ok.charts.seeds_chart, ok.charts.pairs_chart, ok.charts.learning_rate_basin, ok.charts.variant_boxes):
        with pytest.raises(ok.UsageError, match=r"^expected Trials or a pandas DataFrame, got (str|NoneType); see"):
            chart(nothing)


def test_several_tasks_get_panels_of_their_own() -> None:
    table = made_up.trials(n_per_cell=20, variants=("V", "NIG", "NFG"), tasks=("jsb-chorales", "bach-chorales"))
    comparison = ok.compare(table, top=0.25)
    for chart in (
        ok.charts.learning_rate_basin(table),
        ok.charts.variant_boxes(table, top=0.25),
        ok.charts.comparison_chart(comparison),
    ):
        assert "a stand-in" in chart.description
        assert ok.charts.picture(chart, width=340, scale=1).startswith(b"\x89PNG")


# ---- equations ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(ok.VARIANTS))
def test_equations_mark_exactly_what_differs_from_vanilla(name: str) -> None:
    cell = ok.variant(name)
    shown = ok.charts.cell_equations([name])
    what = [kind for kind, _ in shown.changed(cell)]
    assert len(what) == 6
    assert (set(what) == {"same"}) == (cell.latex() == ok.variant("V").latex())
    page = shown._repr_html_()
    assert page.count("odyssey-line odyssey-") == 6
    assert "&=" not in page


# ---- display ------------------------------------------------------------------------------------


@pytest.fixture
def in_the_book(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Any], str]]:
    """Show charts as the book does; gives the function that returns a chart's HTML."""
    monkeypatch.setenv("ODYSSEY_BOOK", "1")
    display.enable()
    yield lambda chart: chart._repr_mimebundle_(include=None, exclude=None)["text/html"]
    monkeypatch.delenv("ODYSSEY_BOOK")
    display.enable()


def scripts(page: str) -> dict[str, Any]:
    found = re.findall(r'<script type="application/json"(?: data-odyssey-table="([^"]*)")?>(.*?)</script>', page, re.S)
    return {name or "spec": json.loads(body) for name, body in found}


def test_in_the_book_a_small_table_stays_in_its_chart(in_the_book: Callable[[Any], str], table: pd.DataFrame) -> None:
    page = in_the_book(ok.charts.trials_explorer(table))
    assert page.startswith('<div class="odyssey-chart" role="figure" aria-label="180 trials')
    assert list(scripts(page)) == ["spec"]


def test_in_the_book_a_large_table_is_named_by_its_content(in_the_book: Callable[[Any], str]) -> None:
    table = made_up.trials(n_per_cell=30)
    page = in_the_book(ok.charts.trials_explorer(table))
    found = scripts(page)
    (name,) = set(found) - {"spec"}
    assert re.fullmatch(r"odyssey-[0-9a-f]{12}", name)
    assert page.count("data-odyssey-table=") == 1
    columns = found[name]["columns"]
    rows = {key: index for index, key in enumerate(columns["key"])}
    assert len(rows) == len(table)
    for trial in table[table["state"].eq("COMPLETE")].itertuples():
        assert columns["test_metric"][rows[trial.key]] == pytest.approx(trial.test_metric, rel=1e-6)
    again = scripts(in_the_book(ok.charts.trials_explorer(table)))
    assert set(again) == set(found)
    assert ok.charts.picture(ok.charts.trials_explorer(table), width=704, scale=1).startswith(b"\x89PNG")


def test_in_the_book_no_text_can_end_the_script_that_holds_it(in_the_book: Callable[[Any], str]) -> None:
    frame = pd.DataFrame({"x": [1], "words": ["</script><b>&"]})
    chart = alt.Chart(frame).mark_text().encode(x="x:Q", text="words:N").properties(description='say "</div>"')
    page = in_the_book(chart)
    assert page.count("</script>") == 1
    assert "</div>" not in page.removesuffix("</div>")
    (rows,) = scripts(page)["spec"]["datasets"].values()
    assert rows[0]["words"] == "</script><b>&"


def test_outside_the_book_charts_are_widgets_without_a_network() -> None:
    display.enable()
    assert alt.renderers.active == "jupyter"
    assert alt.renderers.options == {"offline": True}
    assert alt.theme.active == "odyssey"


def test_the_theme_is_one_and_complete() -> None:
    config = theme.odyssey_theme()["config"]
    assert config["axis"]["domain"] is False
    assert config["axis"]["ticks"] is False
    assert config["axisY"]["grid"] is True
    assert config["axis"]["grid"] is False
    assert config["font"].startswith("Inter Variable")
    assert theme.HEIGHTS == (140, 220, 320)


def test_decades_are_written_as_powers() -> None:
    expression = theme.decades().to_dict()["labelExpr"]
    assert "'-3':'10⁻³'" in expression
    assert "'0':'10⁰'" in expression


# ---- pairs and seeds ----------------------------------------------------------------------------


def test_pairs_are_all_drawn_and_what_lies_beyond_the_axis_stands_at_its_end(table: pd.DataFrame) -> None:
    pairs = made_up.paired(table)
    found = ok.compare_pairs(pairs).set_index("variant")
    chart = ok.charts.pairs_chart(pairs).to_dict()
    dots = rows_with(chart, "place", "beyond")
    assert len(dots) == len(pairs) - pairs["variant"].eq("V").sum()
    (scale,) = {json.dumps(layer["encoding"]["x"]["scale"]) for layer in chart["layer"][2:3]}
    low, high = json.loads(scale)["domain"]
    assert all(low <= row["place"] <= high for row in dots)
    lost = [row for row in dots if row["words"] == "one of the two diverged"]
    assert len(lost) == 4 and all(
        (row["variant"], row["beyond"], row["place"]) == ("FGR", "right", high) for row in lost
    )
    for row in rows_with(chart, "median_difference", "low_drawn"):
        assert row["median_difference"] == pytest.approx(found.loc[row["variant"], "median_difference"])
        assert low <= row["low_drawn"] <= row["high_drawn"] <= high


def test_a_setting_is_a_row_with_its_seeds_their_mean_and_the_trial_it_was_chosen_for(table: pd.DataFrame) -> None:
    again = made_up.again(table[table["variant"].isin(["V", "CIFG"])], best=3, seeds=4, study="again")
    found = ok.repeated_settings(again, of=table)
    chart = ok.charts.seeds_chart(again, of=table).to_dict()
    rows = [row for data in chart["datasets"].values() for row in data if "first_valid" in row]
    assert sorted(row["mean"] for row in rows) == pytest.approx(sorted(found["mean"]))
    assert sorted(row["first"] for row in rows) == pytest.approx(sorted(found["first"]))
    dots = [row for data in chart["datasets"].values() for row in data if "outcome" in row]
    assert sorted(row["test_metric"] for row in dots) == pytest.approx(sorted(again["test_metric"]))
    best = {row["variant"]: row["first_valid"] for row in rows if row["place"] == 1}
    assert best == pytest.approx(found.groupby("variant")["first_valid"].min().to_dict())

"""The named studies are the ones that were announced, each a piece of data that a file can hold and change."""

from __future__ import annotations

from dataclasses import replace

import pytest

import odyssey_kit as ok

pytest.importorskip("numba", reason="a study needs the extra [train]")

import fake_work

from odyssey_kit.search import STUDIES, export, open_for_writing, published_folder, published_results, study_names
from odyssey_kit.search.lookup import what_is_missing
from odyssey_kit.search.plain_text import assign, dump, load_mapping

NINE = ["V", "NIG", "NFG", "NOG", "NIAF", "NOAF", "CIFG", "NP", "FGR"]
ODYSSEY = {"hidden_size": (20, 200), "learning_rate": (1e-6, 1e-2), "momentum": (0.01, 1.0), "input_noise_std": (0, 1)}


def bounds(study: ok.StudySpec) -> dict[str, tuple[float, float]]:
    return {name: (law.low, law.high) for name, law in study.space.items() if hasattr(law, "low")}


# ---- the tables -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "variants", "trials", "differs"),
    [
        ("odyssey-jsb", NINE, 1800, {}),
        ("odyssey-jsb-raw", ["V"], 200, {"lr_mode": "raw"}),
        ("odyssey-jsb-wide", ["V", "CIFG", "NFG", "NOAF"], 400, {}),
        ("odyssey-jsb-paired", NINE, 900, {}),
        ("odyssey-jsb-unpublished", ["NIG+NOG", "NOG+NP", "CIFG+NIAF", "CIFG+NOAF", "V+carousel"], 500, {}),
        ("odyssey-jsb-low-rates", ["V", "V+variance", "V+epochs"], 120, {}),
        ("odyssey-jsb-clipping", ["V"], 200, {}),
        ("odyssey-bach", NINE, 1800, {}),
        ("odyssey-timit", NINE, 1800, {"bidirectional": True}),
        ("odyssey-iam", NINE, 1800, {"bidirectional": True}),
    ],
)
def test_the_odyssey_and_its_arms_are_the_tables_that_were_announced(name, variants, trials, differs):
    study = ok.named_study(name)
    assert [cell.name for cell in study.variants] == variants
    assert len(study.plan()) == study.trial_count == trials
    assert study.paired is (name in ("odyssey-jsb-paired", "odyssey-jsb-low-rates"))
    assert study.protocol == ok.Protocol(**differs), "but for what differs it is the Odyssey's own protocol"
    ends = {"odyssey-jsb-wide": 1.0, "odyssey-jsb-low-rates": 1e-4}
    assert bounds(study) == {**ODYSSEY, "learning_rate": (1e-6, ends.get(name, 1e-2))}


def test_arms_of_one_data_set_see_the_draws_of_the_whole_study():
    whole, raw = ok.named_study("odyssey-jsb"), ok.named_study("odyssey-jsb-raw")
    for index in (0, 7, 199):
        one, other = (study.trial("jsb-chorales", ok.variant("V"), index) for study in (whole, raw))
        assert (one.params, one.seed) == (other.params, other.seed)
        assert one.key != other.key


def test_the_truncated_gradient_is_a_setting_of_one_cell():
    study = ok.named_study("odyssey-jsb-unpublished")
    gradients = {(spec.variant.name, spec.protocol.gradient) for spec in study.plan()}
    assert gradients == {(name, "carousel" if name == "V+carousel" else "full") for name, _ in gradients}
    (cell,) = (cell for cell in study.variants if cell.name == "V+carousel")
    assert cell.replace(name="V") == ok.variant("V")


def test_what_might_learn_faster_at_low_rates_differs_in_one_setting_each():
    study = ok.named_study("odyssey-jsb-low-rates")
    plain, wide, long = (study.protocol_of(cell) for cell in study.variants)
    assert plain == ok.Protocol()
    assert wide == ok.Protocol(initial_weight_std=0.316)
    assert long == ok.Protocol(max_epochs=300)
    assert {cell.replace(name="V") for cell in study.variants} == {ok.variant("V")}


@pytest.mark.parametrize("name", ["odyssey-timit", "odyssey-spoken-digits", "odyssey-jsb-clipping"])
def test_clipping_and_nesterov_are_drawn_as_booleans_and_stored_as_settings(name):
    plan = ok.named_study(name).plan()
    seen = [(spec.protocol.clip, spec.protocol.momentum_type) for spec in plan]
    assert set(seen) == {(clip, kind) for clip in (0.0, 1.0) for kind in ("nesterov", "heavy-ball")}
    assert 0.4 < sum(clip == 1.0 for clip, _ in seen) / len(seen) < 0.6
    assert all(spec.params.keys() == ok.ODYSSEY_SPACE.keys() for spec in plan)


@pytest.mark.parametrize(
    ("name", "trials", "cells", "ranges"),
    [
        ("breuel-states", 660, 1, {"learning_rate": (1e-6, 1e-1), "hidden_size": (50, 500)}),
        (
            "breuel-momentum",
            800,
            1,
            {"learning_rate": (1e-5, 1e-1), "momentum": (0.01, 1.0), "batch_size": (20, 2000)},
        ),
        ("breuel-types", 2100, 12, {"learning_rate": (1e-6, 1e-1)}),
        ("breuel-conditions", 800, 8, {"learning_rate": (1e-6, 1e-1)}),
        ("breuel-lines", 500, 5, {"learning_rate": (1e-6, 1e-1), "hidden_size": (20, 200)}),
        ("breuel-long", 942, 1, {"learning_rate": (1e-6, 1e-1), "hidden_size": (50, 500)}),
        ("breuel-long-archiscribe", 40, 1, {"learning_rate": (1e-6, 1e-1), "hidden_size": (50, 500)}),
    ],
)
def test_breuels_studies_have_his_ranges_and_his_conventions(name, trials, cells, ranges):
    study = ok.named_study(name)
    assert (study.trial_count, len(study.variants)) == (trials, cells)
    assert bounds(study) == ranges
    protocols = [study.protocol_of(cell) for cell in study.variants]
    assert {(p.momentum_type, p.lr_mode, p.loss_reduction) for p in protocols} == {("heavy-ball", "raw", "sum")}


def test_twelve_types_are_six_cells_times_two_outputs_and_conditions_differ_in_theirs():
    types, conditions = ok.named_study("breuel-types"), ok.named_study("breuel-conditions")
    assert {types.protocol_of(cell).loss for cell in types.variants} == {"cross-entropy", "logistic-squares"}
    kinds = {(c.output_activation, c.input_activation, c.peepholes) for c in types.variants}
    assert len(kinds) == 6
    seen = [conditions.protocol_of(cell) for cell in conditions.variants]
    assert len({(p.bidirectional, p.placement, p.loss) for p in seen}) == 8


def test_breuels_seeds_train_fifty_of_his_settings_five_times_more():
    known = {spec.index: spec for spec in ok.named_study("breuel-states").plan()}
    plan = ok.named_study("breuel-seeds").plan()
    assert all(spec.params == known[spec.index % 50].params for spec in plan)
    seeds = {spec.seed for spec in plan}
    assert len(plan) == len(seeds) == 250 and not seeds & {spec.seed for spec in known.values()}


# ---- what is not there yet ------------------------------------------------------------------


def test_a_study_of_what_this_version_lacks_can_be_planned_and_says_what_is_missing(tmp_path):
    study = ok.StudySpec(
        name="later", tasks=("no-such-data",), variants=(ok.variant("V"),), n_trials=1,
        protocol=ok.Protocol(loss="softmax-squares"),
    )  # fmt: skip
    assert study.plan()
    assert what_is_missing(study)[0] == "the data set no-such-data"
    with pytest.raises(ok.UsageError, match="later cannot be run by this version, which lacks the data set no-such"):
        ok.run_study(study, executor="serial", path=tmp_path / "later.sqlite", results=tmp_path, progress=False)
    assert not (tmp_path / "later.sqlite").exists()


def test_what_can_be_run_lacks_nothing():
    for name in ("first-light", "odyssey-jsb", "odyssey-jsb-unpublished", "odyssey-jsb-clipping"):
        assert what_is_missing(ok.named_study(name)) == []


# ---- ten seeds of the ten best --------------------------------------------------------------


def test_the_best_draws_wait_for_the_study_that_they_come_from(tmp_path):
    with pytest.raises(
        ok.StudyError, match=r"odyssey-jsb-seeds cannot be planned yet: .* of whose 400 trials of V and "
    ):
        ok.named_study("odyssey-jsb-seeds", tmp_path)


@pytest.fixture(scope="module")
def seeds(tmp_path_factory) -> tuple[ok.StudySpec, dict[str, list[ok.TrialSpec]]]:
    """Publish a made-up odyssey-jsb of two cells, in which the smallest learning rates are the best."""
    folder = tmp_path_factory.mktemp("results")
    whole = replace(ok.named_study("odyssey-jsb"), variants=tuple(map(ok.variant, ("V", "CIFG", "NP"))))
    with open_for_writing(whole, folder / "runs" / "odyssey-jsb.sqlite") as store:
        store._connection.execute("PRAGMA synchronous = OFF")
        for spec in whole.plan():
            store.add(spec, fake_work.result(spec))
        export(whole, store, published_folder(whole.name, folder))
    best = {
        name: sorted(
            (spec for spec in whole.plan() if spec.variant.name == name), key=lambda spec: spec.params["learning_rate"]
        )[:10]
        for name in ("V", "CIFG")
    }
    return ok.named_study("odyssey-jsb-seeds", folder), best


def test_the_ten_best_draws_of_two_cells_get_ten_seeds_each(seeds):
    study, best = seeds
    plan = study.plan()
    assert len(plan) == 200
    for name, specs in best.items():
        mine = sorted((spec for spec in plan if spec.variant.name == name), key=lambda spec: spec.index)
        assert [spec.params for spec in mine[:10]] == [spec.params for spec in specs], "each once in the first block"
        assert [spec.params for spec in mine[10:20]] == [spec.params for spec in specs]
        assert len({spec.seed for spec in mine}) == 100
    assert ok.StudySpec.from_yaml(study.to_yaml()) == study, "what was chosen is part of the study"


# ---- as files -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STUDIES)
def test_every_named_study_survives_yaml(name):
    study = ok.named_study(name)
    again = ok.StudySpec.from_yaml(study.to_yaml())
    assert again == study
    assert list(again.space) == list(study.space), "the order in which it is drawn"
    assert [spec.key for spec in replace(again, n_trials=2).plan()] == [
        spec.key for spec in replace(study, n_trials=2).plan()
    ]


def test_a_study_is_read_from_a_file_by_its_path(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("name: mine\ntasks: [jsb-chorales]\nvariants: [V, {name: X, peepholes: false}]\nn_trials: 3\n")
    study = ok.named_study(str(file))
    assert (study.name, study.trial_count, study.variants[1].peepholes) == ("mine", 6, False)
    with pytest.raises(ok.UsageError, match=r"gone\.yaml cannot be read"):
        ok.named_study(str(tmp_path / "gone.yaml"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1, 2]", "a study is list, expected names and values"),
        ("a: [", "a study cannot be read as YAML: .* line 1"),
        ("name: x\nepochs: 3", "study: unknown setting epochs"),
        ("name: x\ntasks: [a]\nvariants: [W]", "no variant is called 'W'"),
        ("name: x\ntasks: [a]\nvariants: [V]\ncell_settings: {NP: {clip: 1}}", "study 'x': no variant is called NP"),
        ("!!python/object/apply:os.system [ls]", "cannot be read as YAML"),
    ],
)
def test_yaml_that_is_no_study_is_refused_in_one_line(text, said):
    with pytest.raises(ok.UsageError, match=said) as caught:
        ok.StudySpec.from_yaml(text)
    assert "\n" not in str(caught.value)


def test_numbers_are_read_as_people_write_them():
    assert load_mapping("{a: 1e-6, b: 1E+3, c: -2e5, d: 1.5e-3, e: 3, f: e5}", "x") == {
        "a": 1e-6, "b": 1000.0, "c": -2e5, "d": 1.5e-3, "e": 3, "f": "e5",
    }  # fmt: skip
    assert load_mapping(dump({"rate": 1e-6, "name": "1e-6"}), "x") == {"rate": 1e-6, "name": "1e-6"}


def test_single_settings_are_changed_by_their_dotted_names():
    data = ok.named_study("first-light").to_dict()
    changed = ok.StudySpec.from_dict(
        assign(data, ["name=mine", "protocol.max_epochs=1", "space.learning_rate.low=1e-5", "variants=[V, CIFG]"])
    )
    assert (changed.name, changed.protocol.max_epochs, changed.space["learning_rate"].low) == ("mine", 1, 1e-5)
    assert [cell.name for cell in changed.variants] == ["V", "CIFG"]
    assert data == ok.named_study("first-light").to_dict(), "the study itself stays as it is"


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("max_epochs", "expected NAME=VALUE"),
        ("=3", "expected NAME=VALUE"),
        ("protokol.max_epochs=3", "there is no protokol; known: name, title"),
        ("name.first=3", "there is no name; known"),
        ("seed=[", "the value cannot be read as YAML"),
    ],
)
def test_an_assignment_that_cannot_be_is_refused(assignment, said):
    with pytest.raises(ok.UsageError, match=said):
        assign(ok.named_study("first-light").to_dict(), [assignment])


# ---- keys stay ------------------------------------------------------------------------------


def test_keys_of_the_studies_that_were_published_are_what_they_were():
    """Later settings are left out of a description where they hold what was always done; see `Protocol.to_dict`."""
    first_light, whole = (replace(ok.named_study(name), numerics=1) for name in ("first-light", "odyssey-jsb"))
    trial = whole.trial("jsb-chorales", ok.variant("NFG"), 7)
    assert trial.key == "b63c012f20cc4613", "every published trial would be orphaned: see test_a_key_is_what_it_was"
    assert first_light.trial("jsb-chorales", ok.variant("FGR"), 19).key == "f6d4b429ecf9fb75"


def test_every_published_trial_is_one_of_its_plan():
    found = 0
    for name in study_names():
        if not (published_folder(name) / "trials.parquet").exists():
            continue
        keys = {spec.key for spec in ok.named_study(name).plan()}
        published = published_results(published_folder(name))
        assert {spec.key for spec, _ in published} <= keys, name
        found += len(published)
    if not found:
        pytest.skip("nothing is published here")

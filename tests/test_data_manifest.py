"""A manifest says what is published about a data set, and a damaged one is refused with a reason."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import odyssey_kit as ok
from odyssey_kit.data import manifest as manifest_module
from odyssey_kit.data.manifest import DataFile, Source, dataset_names, manifest_folder, read_manifest
from odyssey_kit.errors import DataError, MissingDataError, OdysseyError, UsageError

JSB_SHA256 = "2db9329f1881a1d3f49703ec556bf1d6f84b4f6c1d702c156536e93cf31e1c91"
MANIFEST = json.loads((manifest_folder() / "jsb-chorales.json").read_text(encoding="utf-8"))


def sources_of(data: dict) -> list:
    return data["distribution"][0]["ody:sources"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(manifest_module, "manifest_folder", lambda: tmp_path)
    return tmp_path


def test_jsb_chorales_are_the_papers_own_data_in_their_standard_split():
    manifest = read_manifest("jsb-chorales")
    assert manifest.stand_in_for is None
    assert manifest.files[0].sha256 == JSB_SHA256
    assert {split: dict(counts) for split, counts in manifest.splits.items()} == {
        "train": {"sequences": 229, "frames": 13_807},
        "valid": {"sequences": 76, "frames": 4_602},
        "test": {"sequences": 77, "frames": 4_725},
    }
    assert [source.kind for source in manifest.files[0].sources] == ["folder", "cache", "web"]


def test_bach_chorales_are_a_stand_in_that_no_field_hides():
    manifest = read_manifest("bach-chorales")
    assert manifest.stand_in_for == "jsb-chorales"
    assert manifest.what == "stand-in for jsb-chorales"
    assert "stand-in" in manifest.title
    assert "STAND-IN" in manifest.description
    assert manifest.built is not None
    assert [source.kind for source in manifest.files[0].sources] == ["folder", "cache", "package"]


@pytest.mark.parametrize("name", dataset_names())
def test_every_manifest_speaks_croissant(name):
    data = json.loads((manifest_folder() / f"{name}.json").read_text(encoding="utf-8"))
    assert data["conformsTo"] == "http://mlcommons.org/croissant/1.0"
    assert data["@context"]["cr"] == "http://mlcommons.org/croissant/"
    for entry in data["distribution"]:
        assert {"@id", "@type", "name", "encodingFormat"} <= set(entry)
    # Every key of our own is in our own name space, which the context declares.
    schema = {"name", "description", "license", "citeAs", "url", "version", "datePublished", "creator", "distribution"}
    assert set(data) - schema - {"@context", "@type", "conformsTo"} == {key for key in data if key.startswith("ody:")}
    assert "ody" in data["@context"]


@pytest.mark.parametrize("name", dataset_names())
def test_every_manifest_passes_the_validator_of_croissant(name):
    mlcroissant = pytest.importorskip("mlcroissant", reason="mlcroissant is not installed (an optional check)")
    assert not mlcroissant.Dataset(jsonld=str(manifest_folder() / f"{name}.json")).metadata.ctx.issues.errors


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(
        UsageError, match=r"'jsb'; known: .*bach-chorales, .*jsb-chorales, .*\. See `odyssey data list`"
    ):
        ok.load_dataset("jsb")
    with pytest.raises(UsageError, match="no data set is called"):
        read_manifest("../pyproject")


def test_without_a_checkout_one_line_says_how_to_get_one(monkeypatch, tmp_path):
    monkeypatch.setattr(manifest_module, "__file__", str(tmp_path / "site-packages" / "odyssey_kit" / "data" / "x.py"))
    with pytest.raises(MissingDataError, match="pip install -e"):
        dataset_names()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda data: data.pop("citeAs"), "the key 'citeAs' is missing"),
        (lambda data: data.update({"@type": "sc:Person"}), "sc:Dataset"),
        (lambda data: data.update(name="other"), "'name' is 'other'"),
        (lambda data: data.update(distribution=[]), "0 files with sources, expected some"),
        (lambda data: data.update(license=3), "license is 3, expected text"),
        (lambda data: data["distribution"][0].update(sha256="2db9"), "expected 64 hexadecimal digits"),
        (lambda data: data["distribution"][0].update(contentSize="big"), "expected bytes such as '407200 B'"),
        (lambda data: data["distribution"][0].update(contentSize="0 B"), "expected a positive number of bytes"),
        (lambda data: data["distribution"][0].update(name="../x"), "file name is '../x'"),
        (lambda data: data["ody:splits"].pop("test"), "'test' is missing"),
        (lambda data: data["ody:splits"]["test"].update(frames=-1), "test frames is -1"),
        (lambda data: data["ody:splits"]["test"].update(frames=True), "test frames is True"),
        (lambda data: sources_of(data).append({"kind": "carrier pigeon"}), "source kind is 'carrier pigeon'"),
        (lambda data: sources_of(data).append({"kind": "web"}), "needs 'urls'"),
        (lambda data: sources_of(data).append({"kind": "web", "urls": ["file:///etc/passwd"]}), "web address is"),
        (lambda data: sources_of(data).append({"kind": "folder", "paths": ["a/../../b"]}), "inside the folder"),
        (lambda data: sources_of(data).append({"kind": "folder", "paths": ["/etc/passwd"]}), "inside the folder"),
        (lambda data: sources_of(data).append({"kind": "cache", "colour": 1}), "unknown key 'colour'"),
    ],
)
def test_a_manifest_that_does_not_hold_together_is_refused(folder, change, reason):
    data = copy.deepcopy(MANIFEST)
    change(data)
    (folder / "jsb-chorales.json").write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(DataError, match=reason) as caught:
        read_manifest("jsb-chorales")
    assert "jsb-chorales.json" in str(caught.value)
    assert "restore the file from the repository" in str(caught.value)


@pytest.mark.parametrize("requirement", ["music21", "music21>=10", "-r==1", "--index-url==1", "a==1 b==2", "a==1;x"])
def test_a_package_is_asked_for_by_name_and_exact_version_only(requirement):
    with pytest.raises(DataError, match="expected NAME==VERSION or NAME@VERSION"):
        Source(kind="package", requirement=requirement)


def test_a_file_needs_a_hash():
    with pytest.raises(DataError, match="expected 64 hexadecimal digits"):
        DataFile(name="x.json", sha256="", size=1, sources=())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(key=st.sampled_from(sorted(MANIFEST)), value=json_values)
def test_no_value_in_a_manifest_makes_it_crash(tmp_path_factory, key, value):
    folder = tmp_path_factory.mktemp("manifests")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_module, "manifest_folder", lambda: folder)
        (folder / "jsb-chorales.json").write_text(json.dumps({**MANIFEST, key: value}), encoding="utf-8")
        try:
            read_manifest("jsb-chorales")
        except OdysseyError as error:
            assert "jsb-chorales.json" in str(error)


@settings(max_examples=50, deadline=None)
@given(data=st.binary(max_size=60) | st.just(b"[" * 100_000) | st.just(b"{}" + b" " * 1_000_001))
def test_no_bytes_in_place_of_a_manifest_make_it_crash(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("manifests")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_module, "manifest_folder", lambda: folder)
        (folder / "jsb-chorales.json").write_bytes(data)
        with pytest.raises(DataError, match=r"jsb-chorales\.json"):
            read_manifest("jsb-chorales")

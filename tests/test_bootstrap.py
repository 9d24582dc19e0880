"""The way from a fresh clone: made once, repaired when cut off, and where it ends one line says what to do."""

from __future__ import annotations

import importlib
import os
import shutil
import socket
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def tools(monkeypatch):
    """Return the modules (environment, bootstrap), imported as the script imports them."""
    monkeypatch.syspath_prepend(ROOT / "tools")
    for name in ("environment", "bootstrap"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module("environment"), importlib.import_module("bootstrap")


@pytest.fixture
def empty_clone(tools, monkeypatch, tmp_path):
    """Point both modules at a folder that has only the two files which pip reads."""
    environment, bootstrap = tools
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    for module in tools:
        monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(environment, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(environment, "STATE", tmp_path / ".venv" / "odyssey-kit.json")
    monkeypatch.setattr(environment, "CONSTRAINTS", tmp_path / "constraints.txt")
    monkeypatch.setattr(bootstrap, "BOOK", tmp_path / "book")
    monkeypatch.setattr(bootstrap, "FIRST_PAGE", tmp_path / "book" / "_build" / "html" / "index.html")
    return environment, bootstrap, tmp_path


def one_line(remedy: pytest.ExceptionInfo) -> str:
    assert "\n" not in str(remedy.value)
    return str(remedy.value)


def test_bootstrap_and_pyproject_agree_on_the_versions_of_python(tools):
    environment, _ = tools
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    supported = SpecifierSet(project["requires-python"])
    for minor in range(8, 20):
        inside = environment.OLDEST <= (3, minor) <= environment.NEWEST
        assert (f"3.{minor}.0" in supported) == inside
        assert (f"Programming Language :: Python :: 3.{minor}" in project["classifiers"]) == inside


@pytest.mark.parametrize("version", [(2, 7, 18), (3, 9, 18), (3, 10, 13), (3, 14, 0)])
def test_a_wrong_python_is_told_which_ones_will_do(tools, version):
    environment, _ = tools
    with pytest.raises(environment.Remedy) as remedy:
        environment.check_interpreter(version, "/usr/bin/python3")
    line = one_line(remedy)
    assert "needs Python 3.11, 3.12 or 3.13" in line
    assert f"/usr/bin/python3 is {'.'.join(map(str, version))}" in line
    assert "make PYTHON=python3.12 book" in line


@pytest.mark.parametrize("missing", ["venv", "ensurepip"])
def test_a_python_that_can_make_no_environment_is_told_the_package(tools, missing):
    environment, _ = tools
    with pytest.raises(environment.Remedy) as remedy:
        environment.check_interpreter((3, 12, 1), "/usr/bin/python3", has_module=lambda name: name != missing)
    line = one_line(remedy)
    assert f"lacks {missing}" in line
    assert "sudo apt install python3.12-venv" in line


@pytest.mark.parametrize("version", [(3, 11, 0), (3, 12, 9), (3, 13, 2)])
def test_a_python_that_will_do_passes(tools, version):
    tools[0].check_interpreter(version, "python3", has_module=lambda name: True)


def test_an_error_is_one_line_and_exit_code_2(tools, monkeypatch, capsys):
    environment, bootstrap = tools

    def refuse(*args) -> None:
        raise environment.Remedy("no room: make some")

    monkeypatch.setattr(bootstrap, "run", refuse)
    assert bootstrap.main(["book"]) == 2
    assert capsys.readouterr().err == "odyssey_kit: no room: make some\n"


def test_a_folder_that_is_no_environment_is_left_alone(empty_clone):
    environment, _, clone = empty_clone
    (clone / ".venv").mkdir()
    (clone / ".venv" / "thesis.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(environment.Remedy, match="no virtual environment: move it away"):
        environment.ensure(frozenset({"book"}))
    assert (clone / ".venv" / "thesis.txt").read_text(encoding="utf-8") == "mine"


def test_constraints_without_torch_are_told(empty_clone):
    environment, _, clone = empty_clone
    (clone / "constraints.txt").write_text("numpy==2.0\n", encoding="utf-8")
    with pytest.raises(environment.Remedy, match=r"pins no torch: restore the file"):
        environment.pinned("torch")


@pytest.fixture
def counted(empty_clone, monkeypatch):
    """Let `ensure` do all but make environments and call pip; return (environment, clone, what it did)."""
    environment, _, clone = empty_clone
    done = []

    def make() -> None:
        (clone / ".venv").mkdir(exist_ok=True)
        environment.write_state({"complete": False})
        done.append("made")

    here = [list(sys.version_info[:3]), os.path.realpath(sys.base_prefix)]
    monkeypatch.setattr(environment, "interpreter_facts", lambda python: here)
    monkeypatch.setattr(environment, "make_venv", make)
    monkeypatch.setattr(environment, "pip_install", lambda *what: done.append(" ".join(what)))
    return environment, clone, done


def test_the_second_call_installs_nothing(counted):
    environment, _, done = counted
    environment.ensure(frozenset({"book"}))
    assert done == ["made", "-e .[book]"]
    environment.ensure(frozenset({"book"}))
    assert len(done) == 2


def test_torch_is_asked_for_first_and_alone_and_more_extras_keep_the_old_ones(counted):
    environment, _, done = counted
    environment.ensure(frozenset({"book"}))
    environment.ensure(frozenset({"train"}))
    assert done[2:] == ["torch==2.13.0", "-e .[book,train]"]
    environment.ensure(frozenset({"book"}))
    assert len(done) == 4


def test_an_installation_that_was_cut_off_is_done_anew(counted, monkeypatch, capsys):
    environment, _, done = counted

    def cut(*what: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(environment, "pip_install", cut)
        with pytest.raises(KeyboardInterrupt):
            environment.ensure(frozenset({"book"}))
    environment.ensure(frozenset({"book"}))
    assert done == ["made", "made", "-e .[book]"]
    assert "did not finish" in capsys.readouterr().out


def test_a_moved_folder_or_another_python_makes_the_environment_anew(counted, monkeypatch, capsys):
    environment, _, done = counted
    environment.ensure(frozenset({"book"}))
    environment.write_state({**environment.read_state(), "root": "elsewhere"})
    environment.ensure(frozenset({"book"}))
    assert done.count("made") == 2
    monkeypatch.setattr(environment, "interpreter_facts", lambda python: [[3, 11, 0], "/elsewhere"])
    environment.ensure(frozenset({"book"}))
    assert done.count("made") == 3
    monkeypatch.setattr(environment, "interpreter_facts", lambda python: None)
    environment.ensure(frozenset({"book"}))
    assert done.count("made") == 4
    said = capsys.readouterr().out
    assert "folder was moved" in said and "made with Python 3.11.0 of /elsewhere" in said and "does not work" in said


def test_what_pip_reads_decides_whether_it_is_called_again(counted):
    environment, clone, done = counted
    environment.ensure(frozenset({"book"}))
    text = (clone / "pyproject.toml").read_text(encoding="utf-8")
    (clone / "pyproject.toml").write_text(text.replace("line-length = 120", "line-length = 99"), encoding="utf-8")
    environment.ensure(frozenset({"book"}))
    assert len(done) == 2
    (clone / "pyproject.toml").write_text(text.replace('"numpy>=', '"numpy>1,>='), encoding="utf-8")
    environment.ensure(frozenset({"book"}))
    assert done[2:] == ["-e .[book]"]


def test_a_damaged_state_counts_as_none(empty_clone):
    environment, _, clone = empty_clone
    (clone / ".venv").mkdir()
    for damaged in (b"", b"{", b"[]", b"\xff\xfe"):
        (clone / ".venv" / "odyssey-kit.json").write_bytes(damaged)
        assert environment.read_state() == {}


def build(bootstrap, monkeypatch, clone: Path, *outcomes: tuple[int, str]) -> int:
    """Build a book whose attempts end so; return how many there were."""
    (clone / "book" / "_build" / ".doctrees").mkdir(parents=True)
    (clone / "book" / "_config.yml").touch()
    left = list(outcomes)
    monkeypatch.setenv("ODYSSEY_RERUN", "1")

    def attempt(command: list, env: dict) -> tuple[int, str]:
        assert "ODYSSEY_RERUN" not in env
        return left.pop(0)

    monkeypatch.setattr(bootstrap, "run_and_listen", attempt)
    try:
        bootstrap.build_book()
    finally:
        attempts = len(outcomes) - len(left)
    return attempts


def test_a_stalled_kernel_is_given_one_more_try(empty_clone, monkeypatch):
    _, bootstrap, clone = empty_clone
    stall = (1, "nbclient.exceptions.CellTimeoutError: A cell timed out")
    assert build(bootstrap, monkeypatch, clone, stall, (0, "")) == 2
    assert not (clone / "book" / "_build" / ".doctrees").exists()


def test_any_other_failure_of_the_book_is_final_and_forgets_what_was_read(empty_clone, monkeypatch):
    environment, bootstrap, clone = empty_clone
    with pytest.raises(environment.Remedy, match="the book did not build"):
        build(bootstrap, monkeypatch, clone, (1, "WARNING: undefined label"), (0, ""))
    assert not (clone / "book" / "_build" / ".doctrees").exists()


def test_two_stalls_are_a_failure(empty_clone, monkeypatch):
    environment, bootstrap, clone = empty_clone
    with pytest.raises(environment.Remedy, match="the book did not build"):
        build(bootstrap, monkeypatch, clone, (1, "DeadKernelError"), (1, "DeadKernelError"), (0, ""))


def test_a_clone_without_its_book_is_told(empty_clone):
    environment, bootstrap, _ = empty_clone
    with pytest.raises(environment.Remedy, match=r"holds no _config\.yml"):
        bootstrap.build_book()


def test_a_port_in_use_names_another(tools):
    environment, bootstrap = tools
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(environment.Remedy, match=r"make serve PORT=8000"):
            bootstrap.serve(taken.getsockname()[1])


@pytest.mark.parametrize("beside", [False, True])
def test_all_steps_run_and_the_failed_ones_are_named(empty_clone, capfd, beside):
    environment, bootstrap, _ = empty_clone
    scripts = {code: f"print('step', {code}); raise SystemExit({code})" for code in (0, 3, 1)}
    failed = bootstrap.failed_steps(
        [(str(code), [sys.executable, "-c", script]) for code, script in scripts.items()], beside=beside
    )
    assert failed == ["3", "1"]
    said = capfd.readouterr().out
    assert [line for line in said.splitlines() if line] == [
        line for code in scripts for line in (f"== {code}", f"step {code}")
    ]
    with pytest.raises(environment.Remedy, match="failed: 3, 1"):
        bootstrap.report(failed)

"""Compiled kernels are never stale, and a folder that cannot be written costs a warning and no more."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import odyssey_kit
from odyssey_kit.engine import compiled
from odyssey_kit.engine.compiled import source_hash

PACKAGE = Path(odyssey_kit.__file__).parent
# bernoulli_losses, in one file, calls tanh, in another.
SCRIPT = """
import numpy as np
from odyssey_kit.engine.losses import bernoulli_losses
losses = np.empty(1)
bernoulli_losses(np.full((1, 3), 2.0, np.float32), np.zeros((1, 3), np.float32), losses)
print(losses[0])
"""


def run(folder, **environment):
    process = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return float(process.stdout), process.stderr


@pytest.fixture
def copied_package(tmp_path):
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PACKAGE, tmp_path / "odyssey_kit", ignore=ignored)
    return tmp_path


def test_a_changed_callee_changes_its_cached_caller(copied_package):
    cache = str(copied_package / "cache")
    before, _ = run(copied_package, ODYSSEY_CACHE=cache)
    again, _ = run(copied_package, ODYSSEY_CACHE=cache)
    assert again == before
    primitives = copied_package / "odyssey_kit" / "engine" / "primitives.py"
    text = primitives.read_text(encoding="utf-8")
    assert "np.float32(7.9)" in text
    primitives.write_text(text.replace("np.float32(7.9)", "np.float32(0.5)"), encoding="utf-8")
    after, _ = run(copied_package, ODYSSEY_CACHE=cache)
    assert after != pytest.approx(before, rel=1e-3)


def test_the_hash_sees_every_file_of_the_engine(copied_package):
    engine = copied_package / "odyssey_kit" / "engine"
    hashes = {source_hash(engine)}
    for path in sorted(engine.glob("*.py")):
        path.write_text(path.read_text(encoding="utf-8") + "# changed\n", encoding="utf-8")
        hashes.add(source_hash(engine))
    assert len(hashes) == 1 + len(list(engine.glob("*.py")))


def test_another_copy_of_the_same_engine_has_a_folder_of_its_own(copied_package):
    """Or it would be taken for compiled because the other one is, and be compiled by processes that train."""
    engine, other = copied_package / "odyssey_kit" / "engine", copied_package / "elsewhere"
    shutil.copytree(engine, other)
    assert source_hash(engine) == source_hash(engine)
    assert source_hash(engine) != source_hash(other)
    before = source_hash(engine)
    os.utime(engine / "kernels.py", (1, 1))
    assert source_hash(engine) != before, "numba compiles a file anew that was written anew"


def test_compiling_is_said_once_and_marked_only_where_it_went_well(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(compiled, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(compiled, "_ANNOUNCED", set())
    with pytest.raises(ZeroDivisionError), compiled.announced("part") as first:
        assert first and "compiling kernels, once" in capsys.readouterr().err
        1 / 0  # noqa: B018
    for process in range(2):
        compiled._ANNOUNCED.clear()
        with compiled.announced("part") as first:
            assert first == (process == 0), "marked for the processes that follow"
    assert capsys.readouterr().err.count("compiling") == 1


def test_a_folder_that_cannot_be_written_is_one_warning(copied_package):
    blocked = copied_package / "a-file"
    blocked.write_text("not a folder")
    value, messages = run(copied_package, ODYSSEY_CACHE=str(blocked))
    assert value == pytest.approx(3 * 2.1269, abs=1e-3)  # 3 (2 + log(1 + e^-2))
    assert messages.count("compiled kernels cannot be kept in") == 1
    assert "Set ODYSSEY_CACHE" in messages

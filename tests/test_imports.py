"""Importing odyssey_kit is quick and brings in nothing heavy; every public name is there and bears no module's name."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import pkgutil
import subprocess
import sys

import pytest

import odyssey_kit as ok

HAS_TORCH = importlib.util.find_spec("torch") is not None
NEEDS_TORCH = {"Protocol", "TrialResult", "TrialSpec", "run_trial", "train", "StudySpec", "named_study", "run_study"}
ASK = "import sys, json; print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"


def fresh(code: str) -> str:
    """Run code in an interpreter of its own and return what it printed."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def modules_after(code: str) -> set[str]:
    return set(json.loads(fresh(f"{code}\n{ASK}").splitlines()[-1]))


def test_importing_the_package_is_quick_and_loads_nothing_heavy():
    timed = "import time; start = time.perf_counter(); import odyssey_kit; print(time.perf_counter() - start)"
    # The aim is 0.3 s; the bound leaves room for a busy machine and still sees pandas (and far more so torch) come in.
    assert min(float(fresh(timed)) for _ in range(3)) < 1.5
    assert not modules_after("import odyssey_kit") & {"torch", "numba", "pandas", "numpy", "altair", "sklearn"}


def test_variants_print_twice_in_a_row_without_torch():
    code = "import odyssey_kit as ok\nfor _ in range(2):\n    print(ok.list_variants())\n    print(ok.variant('CIFG'))"
    printed = fresh(code)
    assert printed.count("LSTMVariant(name='CIFG'") == 2
    assert printed.count("NIG+NOG") == 2
    assert not modules_after(code) & {"torch", "numba"}


def test_all_after_the_table_of_trials_works_without_torch():
    # Refused as on a machine that has only the extra [book].
    code = (
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name.split('.')[0] in ('torch', 'numba'):\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "import odyssey_kit as ok\n"
        "ok.load_trials, ok.select_top, ok.compare, ok.fanova, ok.charts, ok.explorers"
    )
    loaded = modules_after(code)
    assert not loaded & {"torch", "numba"}
    assert "altair" in loaded


@pytest.mark.parametrize("name", [name for name in ok.__all__ if name != "__version__"])
def test_every_public_name_resolves(name):
    if name in NEEDS_TORCH and not HAS_TORCH:
        pytest.skip("needs torch, which is not installed: the extra [train] brings it")
    assert getattr(ok, name) is not None


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'lstm'"):
        ok.lstm  # noqa: B018


def test_no_public_name_is_that_of_a_module():
    """Importing a module sets its name on the package, so a function of that name would be overwritten."""
    modules = {module.name for module in pkgutil.iter_modules(ok.__path__)}
    assert modules >= {"analysis", "charts", "data", "engine", "search", "space", "training", "variants"}
    assert not modules & set(ok._PUBLIC)
    assert set(ok._MODULES) <= modules


def test_every_public_name_comes_from_where_the_table_says():
    """And is not something else by the time that all modules were imported."""
    for name, module in ok._PUBLIC.items():
        if module in ("training", "search") and not HAS_TORCH:
            continue
        assert getattr(ok, name) is getattr(importlib.import_module(f"odyssey_kit.{module}"), name)


def test_a_test_has_one_thread_of_the_numerical_libraries():
    """As `conftest.py` says, before numpy counts the cores: else workers wait for each other's threads."""
    threadpoolctl = pytest.importorskip("threadpoolctl")
    importlib.import_module("numpy.linalg")
    importlib.import_module("sklearn.cluster")  # OpenMP
    pools = threadpoolctl.threadpool_info()
    assert pools and {str(pool["num_threads"]) for pool in pools} <= {os.environ["OPENBLAS_NUM_THREADS"], "1"}

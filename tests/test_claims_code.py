"""The code of the claims' rules does not change in silence: its fingerprints are kept, as those of the rules are.

Kept are the rules and what they call in `claims`, and the conventions; not what they call elsewhere in `analysis`, as
forests, tests and selection, which have tests of their own.
"""

from __future__ import annotations

import ast
import hashlib
import json
from pathlib import Path

from odyssey_kit.analysis.claims import conventions

KEPT = Path(__file__).with_name("ledger_code.json")
CLAIMS = Path(__file__).resolve().parents[1] / "odyssey_kit" / "analysis" / "claims"
DECIDING = ("contrasts", "evidence", "findings", "importance", "least", "regression", "verdicts")
TELLING = {"verdicts.ClaimVerdict", "verdicts.Verdicts", "verdicts._data", "verdicts._row"}


def _shape(node: object) -> object:
    """Return code as nested lists, the same in every Python: without docstrings, layout and what is empty."""
    if isinstance(node, ast.AST):
        fields = [(name, _shape(value)) for name, value in ast.iter_fields(node) if value not in (None, [])]
        return [type(node).__name__, *fields]
    if isinstance(node, list):
        docstrings = [one for one in node if isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant)]
        return [_shape(one) for one in node if one not in docstrings]
    return repr(node)


def _fingerprint(text: object) -> str:
    return hashlib.sha256(str(text).encode()).hexdigest()[:12]


def _of_module(name: str, source: str) -> dict[str, str]:
    """Return a fingerprint of each function, class and constant of a module."""
    found = {}
    for node in ast.parse(source).body:
        targets = getattr(node, "targets", [getattr(node, "target", None)])
        inside = [one for target in targets if target for one in ast.walk(target)]
        set_here = [one.id for one in inside if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)]
        called = [node.name] if isinstance(node, (ast.FunctionDef, ast.ClassDef)) else set_here
        found |= {f"{name}.{one}": _fingerprint(_shape(node)) for one in called if one != "__all__"}
    return found


def _of_everything() -> dict[str, str]:
    paths = [*(CLAIMS / f"{name}.py" for name in DECIDING), *sorted((CLAIMS / "rules").glob("*.py"))]
    names = [path.stem.replace("__init__", path.parent.name) for path in paths]
    modules = [_of_module(name, path.read_text(encoding="utf-8")) for name, path in zip(names, paths, strict=True)]
    found = {name: digest for module in modules for name, digest in module.items() if name not in TELLING}
    for part in ("selection", "margins", "tasks"):
        found |= {f"conventions.{part}.{name}": _fingerprint(v) for name, v in getattr(conventions(), part).items()}
    return found


def test_code_that_decides_claims_changes_with_a_note_only() -> None:
    """Who changes what a verdict is made with notes it with its reason in the ledger, if a verdict can differ by it.

    Then the new fingerprint takes the old one's place, here as in `ledger_rules.json`.
    """
    kept, now = json.loads(KEPT.read_text()), _of_everything()
    differ = {name: now.get(name, "gone") for name in sorted(kept | now) if kept.get(name) != now.get(name)}
    assert not differ, f"note what changed of a rule in the ledger's changes; then {KEPT.name} has {json.dumps(differ)}"


def test_a_fingerprint_sees_what_runs_and_nothing_else() -> None:
    def of(source: str) -> dict[str, str]:
        return _of_module("rules", source)

    first = of('def f(x):\n    """Return."""\n    return x < 0.05\n\nALPHA = 1')
    assert set(first) == {"rules.f", "rules.ALPHA"}
    assert of("ALPHA = 1  # why\ndef f( x ):\n    return (x < 0.05)") == first
    for changed in ("return x <= 0.05", "return x < 0.5", "x += 1; return x < 0.05"):
        assert of(f"def f(x):\n    {changed}\nALPHA = 1")["rules.f"] != first["rules.f"]
    for one, other in (("x[:1]", "x[1:]"), ("lambda *x: x", "lambda **x: x"), ("f(*x)", "f(**x)"), ("{**x}", "{x}")):
        assert of(f"A = {one}")["rules.A"] != of(f"A = {other}")["rules.A"]
    assert set(of("A, (B, *C) = D = E[0] = 1, F")) == {"rules.A", "rules.B", "rules.C", "rules.D"}
    assert of('ALPHA: int = 1\ndef f(x):\n    return ""')["rules.f"] != of("def f(x):\n    return")["rules.f"]

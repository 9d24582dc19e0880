"""Studies as text: YAML in and out, and single settings by their dotted names. May import `errors` only."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from odyssey_kit.errors import UsageError

__all__ = ["assign", "dump", "load_mapping"]


class _Loader(yaml.SafeLoader):
    """YAML 1.1 as everybody reads it, in which 1e-6 is a number too."""


class _Dumper(yaml.SafeDumper):
    """Lists of names and distributions in one line each."""


for _kind in (_Loader, _Dumper):  # the other one must know it too, to put a text in quotes that looks like a number
    _kind.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+$"), list("-+0123456789")
    )


def _represent_list(dumper: yaml.SafeDumper, items: list[Any] | tuple[Any, ...]) -> yaml.Node:
    flat = not any(isinstance(item, Mapping) for item in items)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=flat)


def _represent_dict(dumper: yaml.SafeDumper, items: Mapping[str, Any]) -> yaml.Node:
    return dumper.represent_mapping("tag:yaml.org,2002:map", items, flow_style="type" in items or None)


_Dumper.add_representer(list, _represent_list)
_Dumper.add_representer(tuple, _represent_list)
_Dumper.add_representer(dict, _represent_dict)


def _parse(text: str, what: str) -> Any:
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise UsageError(f"{what} cannot be read as YAML: {' '.join(str(error).split())}") from error


def dump(data: Mapping[str, Any]) -> str:
    """Return plain data as YAML, in its own order, which is that in which a space is drawn."""
    return yaml.dump(
        dict(data), Dumper=_Dumper, sort_keys=False, default_flow_style=False, width=100, allow_unicode=True
    )


def load_mapping(text: str, what: str) -> dict[str, Any]:
    """Return the mapping that some YAML describes.

    Raises
    ------
    UsageError
        If it is no YAML, or something else than a mapping.

    Examples
    --------
    >>> load_mapping("rate: 1e-6", "a study")
    {'rate': 1e-06}
    """
    data = _parse(text, what)
    if not isinstance(data, dict):
        raise UsageError(f"{what} is {type(data).__name__}, expected names and values, such as `n_trials: 20`")
    return data


def assign(data: Mapping[str, Any], assignments: Iterable[str]) -> dict[str, Any]:
    """Return plain data with some values changed.

    Parameters
    ----------
    data : mapping
        Of mappings.
    assignments : iterable of str
        ``"a.b=c"`` sets b in the mapping a to c, which is read as YAML.

    Raises
    ------
    UsageError
        If one is no assignment, or leads through something that is no mapping.

    Examples
    --------
    >>> assign({"protocol": {"max_epochs": 150}}, ["protocol.max_epochs=3"])
    {'protocol': {'max_epochs': 3}}
    """
    changed = copy.deepcopy(dict(data))
    for assignment in assignments:
        path, equals, value = assignment.partition("=")
        *folders, last = path.strip().split(".")
        if not equals or not last or not all(folders):
            raise UsageError(f"--set {assignment!r}: expected NAME=VALUE, such as protocol.max_epochs=3")
        inner: Any = changed
        for name in folders:
            inner = inner.get(name) if isinstance(inner, dict) else None
        if not isinstance(inner, dict):
            raise UsageError(f"--set {assignment!r}: there is no {'.'.join(folders)}; known: {', '.join(changed)}")
        inner[last] = _parse(value, f"--set {assignment!r}: the value")
    return changed

"""Colours as data: one light and one dark step for each role, shared by the theme, the charts and the page.

A chart is always drawn in the light colours. A dark page replaces each of them by its partner in
`DARK`, which the theme puts into every chart. May import `variants`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from odyssey_kit.variants import VARIANTS

__all__ = [
    "BACKGROUND",
    "DARK",
    "GRID",
    "INK",
    "MUTED",
    "PAPER_ORDER",
    "PUBLISHED",
    "SPREAD",
    "VERDICTS",
    "Colour",
    "Verdict",
    "tint",
    "variant_colour",
    "variant_order",
]


class Colour(NamedTuple):
    """One role's colour on a light and on a dark background."""

    light: str
    dark: str


class Verdict(NamedTuple):
    """How a verdict of a comparison is drawn: never by colour alone."""

    colour: Colour
    shape: str
    filled: bool


INK = Colour("#1f2933", "#e6e9ee")
MUTED = Colour("#52606d", "#9aa5b1")
PUBLISHED = Colour("#7b8794", "#9aa5b1")
GRID = Colour("#e4e7eb", "#323a45")
BACKGROUND = Colour("#ffffff", "#14181d")

# The order of Figure 3 of Greff et al. (2017).
PAPER_ORDER = ("V", "CIFG", "FGR", "NP", "NOG", "NIAF", "NIG", "NFG", "NOAF")

_NAMED: Mapping[str, Colour] = MappingProxyType(
    {
        "V": INK,
        "NIG": Colour("#e69f00", "#f2b84b"),
        "NFG": Colour("#d55e00", "#f08a4b"),
        "NOG": Colour("#b5462f", "#e0745c"),
        "NIAF": Colour("#56b4e9", "#7cc6f2"),
        "NOAF": Colour("#0072b2", "#4ba3dd"),
        "CIFG": Colour("#009e73", "#3fc79f"),
        "NP": Colour("#7fb800", "#a6d24a"),
        "FGR": Colour("#8b5fbf", "#b394dd"),
        # Breuel's six stand on charts of their own, so they may share colours with the nine.
        "LSTM": INK,
        "NPLSTM": Colour("#7fb800", "#a6d24a"),
        "LINLSTM": Colour("#0072b2", "#4ba3dd"),
        "RELULSTM": Colour("#56b4e9", "#7cc6f2"),
        "RELU2LSTM": Colour("#d55e00", "#f08a4b"),
        "RELUTANHLSTM": Colour("#e69f00", "#f2b84b"),
        # The four that were run and not printed do share charts with the nine.
        "NIG+NOG": Colour("#a6761d", "#d3a24a"),
        "NOG+NP": Colour("#6b7b00", "#b5c43c"),
        "CIFG+NIAF": Colour("#16808d", "#56c7d6"),
        "CIFG+NOAF": Colour("#3d5a80", "#8fb0d9"),
    }
)
# For cells of a user's own making, in the order in which they first appear.
_SPARE = (
    Colour("#c2427d", "#ee86b3"),
    Colour("#4b6bd6", "#8fa6f5"),
    Colour("#7a6a5a", "#b9a999"),
    Colour("#5f7f3b", "#a3c77c"),
    Colour("#8a3ffc", "#be95ff"),
)

VERDICTS: Mapping[str, Verdict] = MappingProxyType(
    {
        "different": Verdict(Colour("#d55e00", "#f08a4b"), "diamond", True),
        "different but negligible": Verdict(Colour("#0072b2", "#4ba3dd"), "triangle-up", True),
        "equivalent": Verdict(Colour("#009e73", "#3fc79f"), "square", True),
        "undecided": Verdict(PUBLISHED, "circle", False),
    }
)

# Opacity of an interval or a spread, as the last two digits of a colour: 18 % on light, 24 % on dark.
SPREAD = Colour("2e", "3d")


def tint(colour: Colour) -> Colour:
    """Return a mark's colour at the opacity of its interval.

    Examples
    --------
    >>> tint(INK).light
    '#1f29332e'
    """
    return Colour(colour.light + SPREAD.light, colour.dark + SPREAD.dark)


def variant_order(names: Iterable[str]) -> list[str]:
    """Return the names in the order of the papers; unknown ones last, as they first appear.

    Examples
    --------
    >>> variant_order(["mine", "NOAF", "V", "CIFG"])
    ['V', 'CIFG', 'NOAF', 'mine']
    """
    present = list(dict.fromkeys(names))
    known = [name for name in dict.fromkeys([*PAPER_ORDER, *VARIANTS]) if name in present]
    return known + [name for name in present if name not in known]


def variant_colour(name: str, *, among: Iterable[str] = ()) -> Colour:
    """Return a variant's fixed colour.

    Parameters
    ----------
    name : str
        Name of a variant, known or not.
    among : iterable of str
        The names that share the chart; gives unknown ones different colours.

    Examples
    --------
    >>> variant_colour("V")
    Colour(light='#1f2933', dark='#e6e9ee')
    """
    if name in _NAMED:
        return _NAMED[name]
    strangers = [other for other in dict.fromkeys(among) if other not in _NAMED] or [name]
    return _SPARE[strangers.index(name) % len(_SPARE)]


def _partners() -> dict[str, str]:
    solid = [INK, MUTED, PUBLISHED, GRID, BACKGROUND, *_NAMED.values(), *_SPARE]
    solid += [verdict.colour for verdict in VERDICTS.values()]
    return {colour.light: colour.dark for colour in [*solid, *map(tint, solid)]}


# Light colour -> dark colour, for every colour that a chart of this package may use.
DARK: Mapping[str, str] = MappingProxyType(_partners())

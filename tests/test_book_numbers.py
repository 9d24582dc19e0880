"""Every number in the book's prose against the table, protocol or law that it comes from.

A number that is typed into a chapter (in its text, or in a caption of a code cell) must stand here with what computes
it. What `ok.charts.sentences` says is computed when the book is built and needs no line here.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable
from typing import Any

import pytest
from conftest import BOOK

import odyssey_kit as ok
from odyssey_kit.analysis.claims import conventions
from odyssey_kit.analysis.published import detectable_effect

Number = Callable[[], Any]


def _paper(quantity: str) -> int:
    frame = ok.load_published("odyssey-text").frame
    values = set(frame.loc[frame["quantity"].eq(quantity), "value"])
    assert len(values) == 1, quantity
    return int(values.pop())


def _draws() -> int:
    return _paper("trials of each variant")


def _keys() -> int:
    """Return the keys of the piano: what the cap of a chorale's loss is a multiple of, by ln 2."""
    return round(conventions().tasks["jsb-chorales"].cap / math.log(2))


def _cap() -> int:
    return round(conventions().tasks["jsb-chorales"].cap)


def _epochs() -> int:
    pytest.importorskip("numba", reason="the protocol is in the extra [train]")
    return ok.Protocol().max_epochs


def _first_light() -> int:
    return len(ok.load_trials("first-light"))


def _level() -> str:
    """Return the level of the intervals that comparisons show: 95 %, from the tests' .05."""
    return f"{100 * (1 - conventions().selection['alpha']):g}"


def _shares_level() -> str:
    """Return the level of the intervals of shares and of the bands of marginals."""
    from odyssey_kit.analysis.intervals import LEVEL

    return f"{100 * LEVEL:g}"


def _forest() -> int:
    from odyssey_kit.analysis.functional_anova import _FORESTS

    return _FORESTS["corrected"][0]


def _coverage(place: int) -> str:
    """Return an end of the band that the chart of measured coverage draws."""
    spec = ok.charts.coverage_chart(ok.measured_coverage()).to_dict()
    rows = [row for table in spec["datasets"].values() for row in table if row.keys() == {"low", "high"}]
    return f"{100 * rows[0][('low', 'high')[place]]:g}"


def _side() -> int:
    from odyssey_kit.data.corpora.mnist import SIDE

    return SIDE


def _height() -> int:
    from odyssey_kit.data.line_images import HEIGHT

    return HEIGHT


def _speech() -> int:
    return ok.load_dataset("synthetic-speech").input_size


def _margin() -> str:
    """Return the margin of the chorales that was set before any trial was run."""
    return f"{conventions().tasks['jsb-chorales'].margin:g}"


def _pairs_level() -> str:
    """Return the level of the interval of a median difference of pairs."""
    from odyssey_kit.analysis.pairs import LEVEL

    return f"{100 * LEVEL:g}"


def _least() -> int:
    """Return from how many selected trials on the ledger decides."""
    return conventions().selection["minimum_top"]


def _end_of_the_box() -> str:
    """Return the highest learning rate that the paper drew."""
    from odyssey_kit.charts._frames import rate_words

    law = ok.ODYSSEY_SPACE["learning_rate"]
    return rate_words(law.from_unit(1.0))


def _best() -> int:
    return round(_draws() * conventions().selection["top"])


# chapter -> phrases with {} where a number stands, and what computes the numbers
NUMBERS: dict[str, dict[str, tuple[Number, ...]]] = {
    "index": {
        "cells {} random settings on each": (_draws,),
        "allowed {} epochs and drew {} settings": (_epochs, _draws),
        "prepared: {} keys": (_keys,),
    },
    "nine-cells": {
        "the piano's {} keys": (_keys,),
        "each between {} and {},": (lambda: 0, lambda: 1),  # the ends of the logistic function
        "one layer of {} blocks on {} inputs": (lambda: 100, _keys),  # the size that the cell hands over
    },
    "first-light": {
        "What do {} short trials": (_first_light,),
        "trained for up to {} epochs and drew {} settings": (_epochs, _draws),
        "for each of the {} keys pays {} ln 2, about {} nats": (_keys, _keys, _cap),
        "ended above {} nats": (_cap,),
        "its {} % interval": (_level,),
        "with a power of {} %": (lambda: 80,),  # what `detectable_effect` takes by default
        "only differences of about {} standard deviations": (lambda: f"{detectable_effect(_best()):.1f}",),
        "Losses above {} nats count as {}.": (_cap, _cap),
        "with their {} % intervals": (_shares_level,),
        "with a {} % band": (_shares_level,),
        "hidden size {} for": (lambda: 32,),  # as the code cell below it has it
        "a network of {} blocks": (lambda: 32,),
    },
    "the-data": {
        "a quarter note, {} keys": (_keys,),
        "a column of {} pixels at a time. After": (_side,),
        "which is class {} here": (lambda: 0,),  # how `SequenceDataset` numbers the blank
        "A column of {} pixels at a time, along": (_height,),
        "there are {}. For each frame": (_speech,),
        "the slice of {} numbers": (_side,),
    },
    "how-fanova-works": {
        "uniform between {} and {},": (lambda: 0, lambda: 1),  # the ends of a quantile
        "one forest of {} trees": (_forest,),
        "the band is {} to {} %": (lambda: _coverage(0), lambda: _coverage(1)),
    },
    "the-odyssey-on-chorales": {
        "A loss above {} nats, which is": (_cap,),
        "counts as {}.": (_cap,),
        "✕ diverged, or ended above {}.": (_cap,),
        "or ended above {}. Medians": (_cap,),
        "and with {} where that is more": (_cap,),
        "edge diverged or ended above {}, counted": (_cap,),
        "its {} % interval. A triangle": (_pairs_level,),
        "with {} % intervals from": (_level,),
        "within {} nats, a margin": (_margin,),
        "shown from {} selected trials": (_least,),
        "From fewer than {} selected trials": (_least,),
        "The band is a {} % one": (_shares_level,),
        "shares have {} % intervals and the curves {} % bands": (_shares_level, _shares_level),
        "box ends at the dashed rule, {}.": (_end_of_the_box,),
    },
    "the-verdicts": {
        "with {} % intervals": (_level,),
    },
}


def _chapters() -> list[str]:
    text = (BOOK / "_toc.yml").read_text(encoding="utf-8")
    return re.findall(r"^\s*-?\s*(?:root|file):\s*([\w/-]+)", text, re.MULTILINE)


def prose(source: str) -> str:
    """Return what a reader reads of a chapter's source: its text, and the captions that its cells type."""
    source = re.sub(r"\A---\n.*?\n---\n", "", source, flags=re.DOTALL)
    cells = re.findall(r"^```\{code-cell\}.*?\n(.*?)^```", source, re.DOTALL | re.MULTILINE)
    text = re.sub(r"^```.*?^```", "", source, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"\$\$.*?\$\$", " ", text, flags=re.DOTALL)
    text = re.sub(r"\{[\w:]+\}`[^`]*`|`[^`]*`|\$[^$]*\$|\]\([^)]*\)", " ", text)
    typed = [string for cell in cells for string in _captions(cell)]
    return " ".join(" ".join([text, *typed]).split())


def _captions(cell: str) -> list[str]:
    code = "\n".join(line for line in cell.splitlines() if not line.startswith((":", "%")))
    found = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value.split()) > 4:
            found.append(node.value)
    return found


def unexplained(text: str, known: dict[str, tuple[Number, ...]]) -> list[str]:
    """Return the numbers of a text that no phrase explains, each with the words around it; uw3 is a name."""
    for phrase, numbers in known.items():
        said = phrase.format(*(number() for number in numbers))
        assert said in text, f"the chapter no longer says {said!r}: the number, or the phrase, is another one"
        text = text.replace(said, " … ")
    return [text[max(0, m.start() - 30) : m.end() + 30] for m in re.finditer(r"(?<![A-Za-z])\d+", text)]


@pytest.mark.parametrize("chapter", _chapters())
def test_every_typed_number_comes_from_somewhere(chapter: str) -> None:
    source = (BOOK / f"{chapter}.md").read_text(encoding="utf-8")
    left = unexplained(prose(source), NUMBERS.get(chapter, {}))
    assert not left, (
        f"{chapter}.md types numbers that nothing computes: {left}. Let ok.charts.sentences say them, or add the "
        "phrase and what computes it to NUMBERS in this file"
    )


def test_a_wrong_number_and_an_unexplained_one_are_found() -> None:
    with pytest.raises(AssertionError, match="no longer says 'we drew 200 settings'"):
        unexplained("we drew 300 settings", {"we drew {} settings": (_draws,)})
    assert unexplained("we drew 200 settings and 7 seeds", {"we drew {} settings": (_draws,)}) == [" …  and 7 seeds"]


def test_prose_leaves_out_code_formulas_and_links_and_keeps_captions() -> None:
    source = (
        "---\na: 1\n---\n# Title\n\n```{code-cell} ipython3\n:tags: [x]\nf(2)\n"
        'caption("a caption of more than four words, 3")\n```\n'
        "Text $c^{4}$ and `5` and [link](p6.md) and {cite:t}`greff2017`."
    )
    assert re.findall(r"\d", prose(source)) == ["3"]

"""The claims of both papers as a reader meets them: tiles, one a claim, and the list in which each opens.

Both are plain HTML that says everything without a script; the list's filters come with a small one. Style and
script stand in `ledger.css` and `ledger.js` and travel with the output, so that a notebook shows the same as the
book. May import `analysis` and the other modules of `charts`.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from importlib import resources
from typing import Any

import pandas as pd

from odyssey_kit.analysis.claims import VERDICTS, ClaimVerdict, Verdicts, conventions
from odyssey_kit.analysis.claims.findings import CONTRADICTED, NOT_TESTABLE, REPRODUCED, UNDECIDED, Part
from odyssey_kit.analysis.claims.paper import paper_numbers, paper_slips
from odyssey_kit.analysis.claims.prices import Price
from odyssey_kit.analysis.claims.wording import hours_words, interval_words, number_words
from odyssey_kit.analysis.published import published_errata
from odyssey_kit.charts.verdict_sentences import claims_answer, claims_waiting

__all__ = [
    "ClaimsPage",
    "claims_ledger",
    "claims_overview",
    "claims_prices",
    "papers_slips",
]

_PAPERS = {"odyssey": "The Odyssey (Greff et al. 2017)", "breuel": "Breuel (2015)"}
_CLASSES = {
    REPRODUCED: "reproduced",
    CONTRADICTED: "contradicted",
    UNDECIDED: "undecided",
    NOT_TESTABLE: "not-testable",
}
# A change may be later than trials; its reason says so, and no title may say otherwise.
_RULE = "The rule, written before the trials were run"
_RULE_CHANGED = "The rule, with what was changed since it was first written"


class ClaimsPage:
    """HTML that a notebook and the book show; as text it is one sentence."""

    def __init__(self, body: str, text: str) -> None:
        self._body, self._text = body, text

    def _repr_html_(self) -> str:
        return self._body

    def __repr__(self) -> str:
        return self._text


def _asset(name: str) -> str:
    return resources.files("odyssey_kit.charts").joinpath(name).read_text(encoding="utf-8")


def _escape(text: Any) -> str:
    return html.escape(str(text), quote=True)


# ---- tiles ------------------------------------------------------------------------------------


def claims_overview(verdicts: Verdicts, *, page: str = "the-verdicts.html") -> ClaimsPage:
    """Return every claim as a tile, a row a topic: its verdict by sign and colour, and a link to the claim.

    Parameters
    ----------
    verdicts : Verdicts
        As `ok.check_claims` returns.
    page : str
        Where the tiles lead to; empty for the page they are on.
    """
    frame = verdicts.to_frame()
    counts = frame["verdict"].value_counts()
    key = "".join(
        f'<span><span class="sign">{sign}</span> <b>{counts.get(name, 0)}</b> {name}</span>'
        for name, sign in VERDICTS.items()
    )
    rows = []
    for topic in frame["topic"].drop_duplicates():
        tiles = "".join(_tile(item, page) for item in verdicts if item.claim.topic == topic)
        rows.append(f'<div class="row"><span>{_escape(topic)}</span><div>{tiles}</div></div>')
    answer = str(claims_answer(verdicts))
    body = (
        f'<div class="odyssey-tiles" role="group" aria-label="{_escape(answer)}"><style>{_asset("ledger.css")}</style>'
        f'<p class="key">{key}</p>{"".join(rows)}</div>'
    )
    return ClaimsPage(body, answer)


def _tile(item: ClaimVerdict, page: str) -> str:
    words = f"{item.claim.id}: {item.claim.claim} {item.words.capitalize()}."
    scope = f"<small>{item.scope.removesuffix(' tasks')}</small>" if item.scope else ""
    return (
        f'<a class="tile {_CLASSES[item.verdict]}" href="{page}#{item.claim.id}" title="{_escape(words)}" '
        f'aria-label="{_escape(words)}"><i>{VERDICTS[item.verdict]}</i>{item.claim.id}{scope}</a>'
    )


def claims_prices(verdicts: Verdicts) -> ClaimsPage:
    """Return what undecided claims wait for as a table: study, claims, trials, processor hours and their basis."""
    table = claims_waiting(verdicts).reset_index()
    shown = pd.DataFrame(
        {
            "study": table["study"],
            "claims": [f"{row.claims}: {row.waiting}" for row in table.itertuples()],
            "trials": [f"{trials:,}" for trials in table["trials"]],
            "processor hours": [cost.replace(" processor hours", "") for cost in table["cost"]],
            "the hours are from": table["basis"],
        }
    )
    with pd.option_context("display.max_colwidth", None):
        return ClaimsPage(shown.to_html(index=False, border=0), shown.to_string(index=False))


def papers_slips() -> ClaimsPage:
    """Return where the papers slip, a list each, with links to the claims that a slip bears on."""
    body, text = "", []
    for paper, rows in published_errata().groupby("paper", sort=False):
        lines = ""
        for row in rows.to_dict("records"):
            bears = row["bears_on"]
            link = f' Bears on <a href="#{bears}">{bears}</a>.' if bears else ""
            lines += (
                f"<li>{_escape(row['where'])}: {_escape(row['says'])}. <em>But</em> {_escape(row['but'])}.{link}</li>"
            )
            text.append(f"{row['where']}: {row['says']}. But {row['but']}.")
        body += f"<p><strong>{_escape(_PAPERS[str(paper)])}</strong></p><ul>{lines}</ul>"
    return ClaimsPage(body, "\n".join(text))


# ---- the list ---------------------------------------------------------------------------------


def claims_ledger(verdicts: Verdicts) -> ClaimsPage:
    """Return the list of claims: filtered by paper, topic, verdict and words; each opens to all that is known."""
    frame = verdicts.to_frame()
    counts = frame["verdict"].value_counts()
    chips = "".join(
        f'<button type="button" value="{name}" aria-pressed="false">{sign} {name} · {counts.get(name, 0)}</button>'
        for name, sign in VERDICTS.items()
    )
    papers = _options("paper", [(name, words) for name, words in _PAPERS.items() if name in set(frame["paper"])])
    topics = _options("topic", [(topic, topic) for topic in frame["topic"].drop_duplicates()])
    controls = (
        f'<div class="controls" role="search"><div class="chips" role="group" aria-label="verdict">{chips}</div>'
        f"<label>paper{papers}</label><label>topic{topics}</label>"
        '<label>words<input type="search" placeholder="such as peepholes"></label>'
        '<button type="button" class="reset">Reset</button></div>'
        '<p class="showing" role="status"></p><p class="none" hidden>No claim fits all of that.</p>'
    )
    sections = "".join(
        f"<section><h3>{_escape(_PAPERS[paper])}</h3>{''.join(_claim(item) for item in items)}</section>"
        for paper in _PAPERS
        if (items := [item for item in verdicts if item.claim.paper == paper])
    )
    body = (
        f'<div class="odyssey-ledger"><style>{_asset("ledger.css")}</style>{controls}{sections}'
        f"<script>{_asset('ledger.js')}</script></div>"
    )
    return ClaimsPage(body, str(claims_answer(verdicts)))


def _options(name: str, choices: Iterable[tuple[str, str]]) -> str:
    listed = "".join(f'<option value="{_escape(value)}">{_escape(words)}</option>' for value, words in choices)
    return f'<select data-filter="{name}"><option value="">all</option>{listed}</select>'


def _claim(item: ClaimVerdict) -> str:
    claim, kind = item.claim, _CLASSES[item.verdict]
    blocks = [
        f'<p class="told">{_escape(item.sentence)}</p>',
        _estimates(item),
        _notes(item),
        _block("What would change this", _change(item)),
        _block(_RULE_CHANGED if claim.changes else _RULE, _rule(item)),
        _block("The paper’s own numbers", _paper(item)),
    ]
    word = item.words if item.own or not item.parts else f"{item.words} (direction)"
    return (
        f'<details class="claim" id="{claim.id}" data-paper="{claim.paper}" data-topic="{_escape(claim.topic)}" '
        f'data-verdict="{item.verdict}"><summary><span class="sign {kind}" aria-hidden="true">{VERDICTS[item.verdict]}'
        f'</span><span class="name">{claim.id}</span><span class="says">{_escape(claim.claim)}</span>'
        f'<span class="word">{word}</span></summary><div class="body">{"".join(filter(None, blocks))}</div></details>'
    )


def _block(title: str, content: str) -> str:
    return f"<div><h4>{_escape(title)}</h4>{content}</div>" if content else ""


def _estimates(item: ClaimVerdict) -> str:
    parts = [part for part in item.parts if not math.isnan(part.estimate)]
    if not parts:
        return ""
    rows = "".join(_estimate(part, _domain([other for other in parts if other.unit == part.unit])) for part in parts)
    studies = " · ".join(f"study {name} · hash {digest}" for name, digest in item.studies.items())
    return _block("Estimates", f'<div class="estimates">{rows}</div><p class="aside">{_escape(studies)}</p>')


def _domain(parts: Sequence[Part], extra: Iterable[float] = ()) -> tuple[float, float]:
    """Return the ends of a common track: every estimate, interval and margin, zero, and a little room."""
    known = [float(part.details["margin"]) for part in parts if "margin" in part.details]
    margins = [sign * margin for margin in known for sign in (-1, 1)]
    values = [0.0, *margins, *extra, *(v for part in parts for v in (part.low, part.estimate, part.high))]
    finite = [value for value in values if math.isfinite(value)]
    low, high = min(finite), max(finite)
    room = 0.05 * ((high - low) or 1.0)
    return low - room, high + room


def _estimate(part: Part, domain: tuple[float, float]) -> str:
    title = conventions().tasks[part.task].title if part.task in conventions().tasks else part.task
    where = f"{title}, stand-in" if not part.own else title
    value = f"{number_words(part.estimate, signed='−' in part.label)} {part.unit}".strip()
    inside = "; ".join(filter(None, (interval_words(part), part.n)))
    track = _track(_CLASSES[part.verdict], part.estimate, part.low, part.high, domain, part.details.get("margin"))
    return _line(f"{part.label} · {where}" if where else part.label, track, f"{VERDICTS[part.verdict]} {value}", inside)


def _line(label: str, track: str, value: str, small: str) -> str:
    return (
        f'<div class="estimate"><span>{_escape(label)}</span>{track}'
        f'<span class="value">{_escape(value)}<small>{_escape(small)}</small></span></div>'
    )


def _track(
    kind: str, value: float, low: float, high: float, domain: tuple[float, float], margin: float | None = None
) -> str:
    """Return a horizontal track with zero, the margin, an interval and its estimate."""

    def at(x: float) -> float:
        return round(100 * (min(max(x, domain[0]), domain[1]) - domain[0]) / (domain[1] - domain[0]), 2)

    marks = f'<span class="zero" style="left:{at(0.0)}%"></span>'
    if margin is not None:
        marks += f'<span class="margin" style="left:{at(-margin)}%;width:{at(margin) - at(-margin):.2f}%"></span>'
    if not (math.isnan(low) or math.isnan(high)):
        marks += f'<span class="span" style="left:{at(low)}%;width:{at(high) - at(low):.2f}%"></span>'
    marks += f'<span class="dot" style="left:{at(value)}%"></span>'
    return f'<div class="track {kind}" aria-hidden="true">{marks}</div>'


def _notes(item: ClaimVerdict) -> str:
    notes = item.beside
    if item.data:
        notes.insert(0, f"On {item.data}.")
    if item.claim.note:
        notes.append(item.claim.note)
    return "".join(f'<p class="aside">{_escape(note)}</p>' for note in notes)


def _paper(item: ClaimVerdict) -> str:
    frame, source = paper_numbers(item.claim)
    slips = "".join(f'<p class="aside">A slip. {_escape(slip)}</p>' for slip in paper_slips(item.claim))
    if frame.empty:
        return slips
    rows = ""
    for unit, group in frame.groupby("unit", sort=False):
        same = [part for part in item.parts if part.unit == unit]
        values = group[["value", "low", "high"]].to_numpy(float).ravel()
        domain = _domain(same, values)
        for row in group.to_dict("records"):
            title = conventions().tasks[row["task"]].title if row["task"] else ""
            low, high = row["low"], row["high"]
            ends = (number_words(low, digits=2), number_words(high, digits=2))
            small = "" if math.isnan(low) else f"95 % interval {ends[0]} to {ends[1]}"
            track = _track("published", row["value"], low, high, domain)
            label = " · ".join(filter(None, (str(row["what"]), title)))
            rows += _line(label, track, f"{number_words(row['value'], signed='−' in row['what'])} {unit}", small)
    return f'<div class="estimates">{rows}</div><p class="aside">{_escape(source)}.</p>{slips}'


def _change(item: ClaimVerdict) -> str:
    lines = []
    if item.verdict == UNDECIDED:
        lines += [f"{part.label}: {part.needed}." for part in item.parts if part.needed]
    if item.verdict == REPRODUCED:
        lines.append(f"It would be contradicted if this held: {item.claim.contradicted_if}")
    if item.verdict == CONTRADICTED:
        lines.append(f"It would be reproduced if this held: {item.claim.reproduced_if}")
    lines.append(f"What it needs: {item.claim.needs}.")
    told = "".join(f"<p>{_escape(line)}</p>" for line in lines)
    if item.price is None:
        return told + (f"<p>{_escape(item.reach)}</p>" if item.reach else "")
    others = f"Others: {', '.join(item.price.alternatives)}." if item.price.alternatives else ""
    more = " ".join(filter(None, (item.reach, others)))
    return told + f"<p>Price: {', and '.join(map(_priced, item.price.every))}. {_escape(more)}</p>"


def _priced(cost: Price) -> str:
    waits = f", not defined yet: it waits for {_escape(cost.waits_for)}" if cost.waits_for else ""
    return (
        f"the study <code>{_escape(cost.study)}</code>{waits} ({_escape(cost.what)}), {cost.trials:,} trials, "
        f"{_escape(hours_words(cost.hours))} ({_escape(cost.basis)})"
    )


def _rule(item: ClaimVerdict) -> str:
    claim = item.claim
    paper = "Greff et al. (2017)" if claim.paper == "odyssey" else "Breuel (2015)"
    entries = {
        "reproduced if": claim.reproduced_if,
        "contradicted if": claim.contradicted_if,
        "else": "Undecided.",
        "margin": claim.margin,
        "family": conventions().families[claim.family]["words"],
        "the claim": f"{paper}, {claim.section}",
        "as planned, but": f"{claim.departure.what}. Why: {claim.departure.why}" if claim.departure else "",
        **{f"change {i}, {c.date}": f"{c.what}. Why: {c.why}" for i, c in enumerate(claim.changes, start=1)},
    }
    rows = "".join(f"<dt>{_escape(name)}</dt><dd>{_escape(text)}</dd>" for name, text in entries.items() if text)
    return f'<dl class="rule">{rows}</dl>'

"""`odyssey claims`: what the published studies say of each claim of both papers. May import public names."""

from __future__ import annotations

import textwrap
from typing import Annotated, Any

import typer

from odyssey_kit.cli.printing import WIDTH, AsJson, print_json, table

Ids = Annotated[
    list[str] | None, typer.Argument(help="Claims such as O2 or B7; all 67 by default.", show_default=False)
]


def check(ids: Ids = None, as_json: AsJson = False) -> None:
    """Check the papers' claims against the published studies.

    Without names a line a claim; with names the whole of each: rule, estimates, what would decide it.

    As JSON always the whole of each. There an infinite number is the text "inf" or "-inf", what is not known is null,
    and so is `own` (the papers' own data?) of a claim without trials.
    """
    import odyssey_kit as ok
    from odyssey_kit.analysis.claims.records import records

    verdicts = ok.check_claims([name.upper() for name in ids] if ids else None)
    if as_json:
        print_json(records(verdicts))
    elif ids:
        typer.echo("\n\n".join(_whole(item) for item in verdicts))
    else:
        _print_all(verdicts)


def _print_all(verdicts: Any) -> None:
    import pandas as pd

    from odyssey_kit.analysis.claims import VERDICTS

    rows = [(item.claim.id, f"{VERDICTS[item.verdict]} {item.words}", item.claim.claim) for item in verdicts]
    typer.echo(table(pd.DataFrame(rows, columns=["id", "verdict", "claim"])))
    counts = verdicts.to_frame()["verdict"].value_counts()
    words = ", ".join(f"{counts.get(name, 0)} {name}" for name in VERDICTS)
    typer.echo(f"\n{len(verdicts)} claims: {words}\nNext: odyssey claims O2, for the whole of one")


def _whole(item: Any) -> str:
    from odyssey_kit.analysis.claims import VERDICTS
    from odyssey_kit.analysis.claims.wording import part_words, price_words

    claim = item.claim
    lines = [f"{claim.id}  {claim.claim}", f"{VERDICTS[item.verdict]} {item.sentence}"]
    entries = {
        "reproduced if": claim.reproduced_if,
        "contradicted if": claim.contradicted_if,
        "margin": claim.margin,
        "on": item.data,
        **{f"part {i}": f"{VERDICTS[p.verdict]} {part_words(p)}" for i, p in enumerate(item.parts, start=1)},
        "beside it": " ".join(item.beside),
        "studies": ", ".join(f"{name} {digest}" for name, digest in item.studies.items()),
        "price": " ".join(filter(None, (f"{price_words(item.price)}." if item.price else "", item.reach))),
        "needs": claim.needs,
        "note": claim.note,
        "as planned, but": f"{claim.departure.what}. Why: {claim.departure.why}" if claim.departure else "",
        **{f"change {i}, {c.date}": f"{c.what}. Why: {c.why}" for i, c in enumerate(claim.changes, start=1)},
        "source": f"{'Greff et al. (2017)' if claim.paper == 'odyssey' else 'Breuel (2015)'}, {claim.section}",
    }
    lines += [f"{name}: {text}" for name, text in entries.items() if text]
    return "\n".join(textwrap.fill(line, WIDTH, subsequent_indent="    ") for line in lines)

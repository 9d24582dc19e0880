"""What a claim asks of its trials before its rule may say anything: cells, numbers, and optima that can be seen.

It stands in the claim's settings as ``least``, so that no rule needs a branch of its own. May import `evidence`,
`findings`, `ledger` and `regression`.
"""

from __future__ import annotations

from odyssey_kit.analysis.claims.evidence import Arms
from odyssey_kit.analysis.claims.findings import MissingColumn
from odyssey_kit.analysis.claims.ledger import Claim
from odyssey_kit.analysis.claims.regression import marginal

__all__ = ["ask_for_the_least"]


def ask_for_the_least(claim: Claim, arms: Arms) -> None:
    """Raise `MissingColumn` with what the trials of a task lack of a claim's ``least``.

    Its entries are ``cells`` (by role: cells that must all have trials), ``trials`` (so many that ran), ``converged``
    (so many that did not diverge) and ``inside`` (a hyperparameter within whose searched range each of the cells has
    its optimum: an optimum at the edge may lie anywhere beyond).
    """
    least = claim.settings.get("least", {})
    frame, title = arms.frame, arms.task.title
    cells = least.get("cells", {}).get(arms.task.role, [])
    if absent := [name for name in cells if name not in set(frame["variant"])]:
        raise MissingColumn(f"trials of {', '.join(absent)} on {title} too; the claim is of all {len(cells)}")
    ran, converged = len(frame), int((~frame["diverged"]).sum())
    if ran < least.get("trials", 0):
        raise MissingColumn(f"{least['trials']} trainings on {title} at least; there are {ran}")
    if converged < least.get("converged", 0):
        raise MissingColumn(f"{least['converged']} trainings that converge on {title} at least; there are {converged}")
    if "inside" in least:
        _ask_for_optima(arms, cells, least["inside"])


def _ask_for_optima(arms: Arms, cells: list[str], parameter: str) -> None:
    for name in cells:
        rows = arms.trials(name)
        if marginal(rows[~rows["diverged"]], parameter, columns=6).at_the_edge() > 0.5:
            raise MissingColumn(f"a wider range of the {parameter.replace('_', ' ')}: {name} is best at its edge")

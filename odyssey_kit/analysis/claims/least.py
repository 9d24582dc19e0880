"""What a claim asks of its trials before its rule may say anything: cells, numbers, and levels of a setting.

It stands in the claim's settings as ``least``, so that no rule needs a branch of its own. May import `evidence`,
`findings` and `ledger`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from odyssey_kit.analysis.claims.evidence import Arms
from odyssey_kit.analysis.claims.findings import MissingColumn
from odyssey_kit.analysis.claims.ledger import Claim

__all__ = ["ask_for_the_least"]


def ask_for_the_least(claim: Claim, arms: Arms) -> None:
    """Raise `MissingColumn` with what the trials of a task lack of a claim's ``least``.

    Its entries are ``cells`` (by role: cells that must all have trials), ``trials`` (so many that ran) and ``levels``
    (a ``parameter``, the ``edges`` between its levels, and how many that ``converged`` each of them must have).
    """
    least = claim.settings.get("least", {})
    frame, title = arms.frame, arms.task.title
    cells = least.get("cells", {}).get(arms.task.role, [])
    if absent := [name for name in cells if name not in set(frame["variant"])]:
        raise MissingColumn(f"trials of {', '.join(absent)} on {title} too; the claim is of all {len(cells)}")
    if len(frame) < least.get("trials", 0):
        raise MissingColumn(f"{least['trials']} trainings on {title} at least; there are {len(frame)}")
    if "levels" in least:
        _ask_for_levels(arms, **least["levels"])


def _ask_for_levels(arms: Arms, *, parameter: str, edges: Sequence[float], converged: int) -> None:
    values = arms.setting(parameter, arms.frame[~arms.frame["diverged"]])
    there = np.histogram(values.to_numpy(float), edges)[0]
    if there.min() < converged:
        poorest = int(there.argmin())
        raise MissingColumn(
            f"{converged} trainings that converge on {arms.task.title} at each of {len(there)} levels of the "
            f"{parameter.replace('_', ' ')}; from {edges[poorest]:g} to {edges[poorest + 1]:g} there are "
            f"{there[poorest]}"
        )

"""The claims of both papers: the ledger as data, the rules in code, and the verdicts that published studies give.

May import `errors`, `space`, `variants` and the rest of `analysis`; needs neither torch nor data.
"""

from __future__ import annotations

from odyssey_kit.analysis.claims.ledger import Claim, Conventions, claims, conventions

__all__ = ["Claim", "Conventions", "claims", "conventions"]

"""The claims of both papers: the ledger as data, the rules in code, and the verdicts that published studies give.

The way through: `ledger` (claims and conventions, from the TOML files) → `evidence` (published studies,
cleaned, and the tables a claim asks for) → `rules` (one function a quantity, with `contrasts`, `regression`
and `importance` beneath) → `verdicts` (with `prices` and `wording`) → `records` (the same as
plain data). May import `errors`, `space`, `variants` and the rest of `analysis`; needs neither torch nor data.
"""

from __future__ import annotations

from odyssey_kit.analysis.claims.evidence import Evidence
from odyssey_kit.analysis.claims.findings import VERDICTS, Part
from odyssey_kit.analysis.claims.ledger import Claim, Conventions, claims, conventions
from odyssey_kit.analysis.claims.verdicts import ClaimVerdict, Verdicts, check_claims

__all__ = [
    "VERDICTS",
    "Claim",
    "ClaimVerdict",
    "Conventions",
    "Evidence",
    "Part",
    "Verdicts",
    "check_claims",
    "claims",
    "conventions",
]

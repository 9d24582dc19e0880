"""Explorers: interactive views with a logic of their own, live in a notebook and in a static page.

Empty until the first of them, the explorer of marginal curves. May import `errors`, `variants`,
`space`, `analysis` and `charts`; needs neither torch nor any data set.
"""

from __future__ import annotations

__all__: list[str] = []

"""Explorers: interactive views with a logic of their own, live in a notebook and in a static page.

May import `errors`, `variants`, `space`, `analysis` and `charts`; needs neither torch nor any data set.
"""

from __future__ import annotations

from odyssey_kit.explorers.marginal_explorer import MarginalExplorer
from odyssey_kit.explorers.toy_forest import ToyForest, toy_forest

__all__ = ["MarginalExplorer", "ToyForest", "toy_forest"]

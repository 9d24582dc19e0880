"""Charts: one theme, and one public function a figure: a tidy frame in, an Altair chart out.

Importing this package enables the theme and the way charts are shown; `enable` does so again. May
import `errors`, `variants`, `space` and `analysis`; needs neither torch nor any data set.
"""

from __future__ import annotations

from odyssey_kit.charts import chorales, palette, sentences
from odyssey_kit.charts.arms import Arm, arm
from odyssey_kit.charts.beside_paper import boxes_beside_paper, figure3_table, shares_beside_paper
from odyssey_kit.charts.cells import CellEquations, cell_equations, variant_sizes
from odyssey_kit.charts.comparison import comparison_chart
from odyssey_kit.charts.corpora import image_slices, pen_strokes, piano_roll, spectrogram
from odyssey_kit.charts.curves import training_curves
from odyssey_kit.charts.display import enable, picture, resolved
from odyssey_kit.charts.explorer import trials_explorer
from odyssey_kit.charts.importance import importance_bars, marginals
from odyssey_kit.charts.ledger import (
    claims_ledger,
    claims_overview,
    claims_prices,
    papers_slips,
)
from odyssey_kit.charts.pair_maps import pair_maps
from odyssey_kit.charts.pairs import pairs_chart
from odyssey_kit.charts.published import published_boxes
from odyssey_kit.charts.report import report_page
from odyssey_kit.charts.search_explorer import search_explorer
from odyssey_kit.charts.seeds import seeds_chart
from odyssey_kit.charts.sentences import answer, caption, colophon
from odyssey_kit.charts.trials import learning_rate_basin, variant_boxes
from odyssey_kit.charts.truth import coverage_chart, fanova_answer, shares_against_truth, stacked
from odyssey_kit.charts.verdict_sentences import book_answer, changes_answer, claims_answer, claims_waiting

__all__ = [
    "Arm",
    "CellEquations",
    "answer",
    "arm",
    "book_answer",
    "boxes_beside_paper",
    "caption",
    "cell_equations",
    "changes_answer",
    "chorales",
    "claims_answer",
    "claims_ledger",
    "claims_overview",
    "claims_prices",
    "claims_waiting",
    "colophon",
    "comparison_chart",
    "coverage_chart",
    "enable",
    "fanova_answer",
    "figure3_table",
    "image_slices",
    "importance_bars",
    "learning_rate_basin",
    "marginals",
    "pair_maps",
    "pairs_chart",
    "palette",
    "papers_slips",
    "pen_strokes",
    "piano_roll",
    "picture",
    "published_boxes",
    "report_page",
    "resolved",
    "search_explorer",
    "seeds_chart",
    "sentences",
    "shares_against_truth",
    "shares_beside_paper",
    "spectrogram",
    "stacked",
    "training_curves",
    "trials_explorer",
    "variant_boxes",
    "variant_sizes",
]

enable()

"""The papers' own numbers, as tables; read by `analysis.published`."""

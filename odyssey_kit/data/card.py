"""The card of a data set: what it is, what it stands for, how much of it there is, and how to get it.

May import `errors` and the rest of `data`.
"""

from __future__ import annotations

import html
import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass

from odyssey_kit.data.dataset import TASKS, SequenceDataset
from odyssey_kit.data.manifest import Manifest
from odyssey_kit.data.sequences import number

__all__ = ["DatasetCard"]

_WIDTH = 100


def _wrapped(words: str, indent: str = "") -> list[str]:
    """Return lines; names and paths have hyphens, at which they must not be broken."""
    return textwrap.wrap(words, _WIDTH, break_on_hyphens=False, subsequent_indent=indent)


def _marked_up(words: str) -> str:
    """Return text as HTML, commands in type of their own."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(words, quote=False))


@dataclass(frozen=True)
class DatasetCard:
    """What there is to know of a data set; it shows itself as text and, in a notebook, as a page.

    Parameters
    ----------
    manifest : Manifest
        What is promised.
    dataset : SequenceDataset or None
        The data, where they are here: lengths, classes and a first example come from them.
    """

    manifest: Manifest
    dataset: SequenceDataset | None = None

    @property
    def facts(self) -> Mapping[str, str]:
        """What the manifest alone can tell, in words."""
        manifest = self.manifest
        outputs = "output" if manifest.task == "next-step" else "class"
        facts = {
            "what": manifest.what,
            "task": f"{manifest.task}: {TASKS[manifest.task]}",
            "a frame": f"{number(manifest.features, 'input')}, {number(manifest.outputs, outputs)}; {manifest.frame}",
            "splits": self._splits(),
            "options": "; ".join(f"{name}: {words}" for name, words in manifest.options.items()),
            "licence": f"{manifest.licence}. {manifest.terms[:1].upper()}{manifest.terms[1:]}.",
            "cite": manifest.citation,
            "to get it": self.source,
        }
        return {name: words for name, words in facts.items() if words}

    @property
    def source(self) -> str:
        """How the data are had, in a sentence."""
        manifest = self.manifest
        if manifest.generated:
            return "it is generated when it is loaded"
        if manifest.layout is not None:
            return f"{manifest.layout.apply} Then set ODYSSEY_DATA to a folder with {', '.join(manifest.layout.tree)}"
        kinds = {source.kind for file in manifest.files for source in file.sources}
        if kinds <= {"folder", "cache"}:
            names = " and ".join(file.name for file in manifest.files)
            return f"set ODYSSEY_DATA to a folder with {names}; no public server is known that has it in this form"
        return f"`odyssey data fetch {manifest.name}` ({manifest.size / 1e6:,.1f} MB)"

    def _splits(self) -> str:
        parts = []
        for name, counts in self.manifest.splits.items():
            words = [
                number(counts[key], key.removesuffix("s")) for key in ("sequences", "frames", "labels") if key in counts
            ]
            parts.append(f"{name} {', '.join(words)}")
        return "; ".join(parts)

    def __str__(self) -> str:
        manifest = self.manifest
        lines = [f"{manifest.name}: {manifest.title}", "", *_wrapped(manifest.description), ""]
        if self.dataset is None:
            told = [f"{name}: {words}" for name, words in self.facts.items()]
        else:
            told = [*self.dataset.card().splitlines()[1:], *(f"{key}: {self.facts[key]}" for key in self._besides())]
        for line in told:
            lines += _wrapped(line, "  ")
        return "\n".join(lines)

    def _besides(self) -> list[str]:
        return [key for key in ("options", "to get it") if key in self.facts]

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        manifest = self.manifest
        kind = "own" if manifest.stand_in_for is None else "stand-in"
        rows = "".join(
            f"<dt>{html.escape(name)}</dt><dd>{_marked_up(words)}</dd>"
            for name, words in self.facts.items()
            if name != "what"
        )
        return (
            f'<section class="odyssey-card odyssey-card-{kind}"><h4>{html.escape(manifest.name)}'
            f"<span>{html.escape(manifest.what)}</span></h4>"
            f"<p>{html.escape(manifest.description, quote=False)}</p><dl>{rows}</dl></section>"
        )

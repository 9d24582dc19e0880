"""A chapter asks a question, answers it with computed numbers, and leaves its code to the library."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import odyssey_kit as ok

BOOK = Path(__file__).resolve().parents[1] / "book"
CHAPTERS = sorted(BOOK.glob("*.md"))
each_chapter = pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)


def cells(chapter: Path) -> list[str]:
    """Return the code of each cell, without its tags."""
    found = re.findall(r"^```\{code-cell\}[^\n]*\n(.*?)^```$", chapter.read_text(encoding="utf-8"), re.M | re.S)
    return [re.sub(r"\A(:[\w-]+:[^\n]*\n)+\n?", "", cell) for cell in found]


def prose(chapter: Path) -> str:
    text = chapter.read_text(encoding="utf-8").split("\n---\n", 1)[1]
    return re.sub(r"^```\{code-cell\}.*?^```$", "", text, flags=re.M | re.S)


def test_the_table_of_contents_names_every_chapter() -> None:
    named = re.findall(r"^\s*-?\s*(?:root|file):\s*([\w/-]+)", (BOOK / "_toc.yml").read_text(encoding="utf-8"), re.M)
    assert sorted(named) == [chapter.stem for chapter in CHAPTERS]


@each_chapter
def test_the_title_is_a_question_and_the_answer_comes_first(chapter: Path) -> None:
    title, rest = re.search(r"^# ([^\n]+)\n+(.*)", prose(chapter), re.M | re.S).groups()  # type: ignore[union-attr]
    assert title.endswith("?")
    assert "ok.charts.answer(" in cells(chapter)[0]
    before = chapter.read_text(encoding="utf-8").split(f"# {title}\n", 1)[1].lstrip()
    assert before.startswith("```{code-cell}")
    assert rest


@each_chapter
def test_the_first_cell_opens_the_kit_and_the_last_says_what_the_page_rests_on(chapter: Path) -> None:
    code = cells(chapter)
    assert code[0].startswith("import odyssey_kit as ok\n")
    assert code[-1].startswith("ok.charts.colophon(")


@each_chapter
def test_the_code_is_short_and_uses_public_names_only(chapter: Path) -> None:
    lines = [line for cell in cells(chapter) for line in cell.splitlines() if line.strip()]
    assert len(lines) < 120
    assert all(len(line) <= 88 for line in lines)
    for cell in cells(chapter):
        tree = ast.parse(cell)
        assert not [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
        assert all(node.end_lineno - node.lineno < 3 for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
        imported = [name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names]
        assert set(imported) <= {"odyssey_kit", "os"}
        assert not [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]


@each_chapter
def test_every_drawn_chart_has_a_caption_in_its_cell(chapter: Path) -> None:
    for cell in cells(chapter):
        if "display(ok.charts." in cell:
            assert "ok.charts.caption(" in cell


@each_chapter
def test_the_voice_is_calm_and_results_are_not_typed(chapter: Path) -> None:
    text = prose(chapter)
    for word in ("!", "simply", "clearly", "obviously"):
        assert word not in text
    # Numbers with decimals are results; the only exception is the power that the paper's own test had.
    assert set(re.findall(r"\b\d+\.\d+\b", text)) <= {"1.2"}


@each_chapter
def test_citations_are_in_the_bibliography(chapter: Path) -> None:
    known = set(re.findall(r"^@\w+\{(\w+),", (BOOK / "references.bib").read_text(encoding="utf-8"), re.M))
    assert set(re.findall(r"\{cite(?::\w)?\}`(\w+)`", prose(chapter))) <= known


def test_the_number_in_the_title_of_first_light_is_that_of_its_trials() -> None:
    try:
        trials = ok.load_trials("first-light")
    except ok.StudyError as error:
        pytest.skip(str(error))
    assert f"# What do {len(trials)} short trials already show?" in prose(BOOK / "first-light.md")

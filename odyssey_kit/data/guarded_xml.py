"""XML from files that nobody vouches for: bounded in size and depth, and with no declarations of its own.

May import `errors` only.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from xml.parsers import expat

from odyssey_kit.errors import DataError

__all__ = ["MAX_XML_BYTES", "parse_xml"]

# The largest score read here is 1.4 MB.
MAX_XML_BYTES = 16_000_000
_MAX_DEPTH = 64


def parse_xml(data: bytes, name: str) -> ET.Element:
    """Return the root element of an XML document that declares nothing of its own.

    Raises
    ------
    DataError
        If it is not well-formed, too large or too deep, or declares entities (which could make a small
        file endless) or an internal document type.
    """
    if len(data) > MAX_XML_BYTES:
        raise DataError(f"{name}: {len(data):,} bytes of XML, expected at most {MAX_XML_BYTES:,}")
    tree = _GuardedTree(name)
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = tree.start
    parser.EndElementHandler = tree.end
    parser.CharacterDataHandler = tree.builder.data
    parser.StartDoctypeDeclHandler = tree.doctype
    parser.EntityDeclHandler = tree.entity
    try:
        parser.Parse(data, True)
        return tree.builder.close()
    except (expat.ExpatError, ET.ParseError, AssertionError, LookupError, ValueError) as error:
        raise DataError(f"{name}: not well-formed XML ({error})") from error


class _GuardedTree:
    """Builds the tree from the parser's calls, and refuses what data have no need of."""

    def __init__(self, name: str) -> None:
        self.builder = ET.TreeBuilder()
        self._name = name
        self._depth = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise DataError(f"{self._name}: elements nest deeper than {_MAX_DEPTH}")
        self.builder.start(tag, attributes)

    def end(self, tag: str) -> None:
        self._depth -= 1
        self.builder.end(tag)

    def doctype(self, _name: str, _system: str | None, _public: str | None, has_internal_subset: int) -> None:
        if has_internal_subset:
            raise DataError(f"{self._name}: the XML declares a document type of its own, which is refused")

    def entity(self, *_declaration: object) -> None:
        raise DataError(f"{self._name}: the XML declares an entity, which is refused")

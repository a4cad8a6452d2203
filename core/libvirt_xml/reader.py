"""Reads XML that others wrote, within limits: no DTD, no entities, no processing instructions, bounded size and depth.

The limits are checked while reading, before anything is built or handed to libvirt (anchors: XXE in
CloudStack, the parse-before-check fault of libvirt CVE-2025-12748).
"""

from __future__ import annotations

from xml.etree.ElementTree import Element, SubElement
from xml.parsers import expat

from core.errors import InvalidInput
from core.i18n import N_

MAX_LENGTH = 256 * 1024
MAX_DEPTH = 24
MAX_ELEMENTS = 5000


def parse_xml(text: str, *, max_length: int = MAX_LENGTH) -> Element:
    """The root element of a document. Comments are dropped.

    Raises:
        InvalidInput: not well-formed, too long, too deep, too many elements, or with a DTD, an entity
            declaration or a processing instruction.
    """
    if len(text) > max_length:
        raise InvalidInput(N_("The XML is longer than {limit} characters."), limit=max_length)
    reader = _Reader()
    parser = expat.ParserCreate("utf-8", namespace_separator=None)
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.data
    parser.StartDoctypeDeclHandler = reader.forbidden
    parser.EntityDeclHandler = reader.forbidden
    parser.ProcessingInstructionHandler = reader.forbidden
    try:
        parser.Parse(text.encode("utf-8", "strict"), True)
    except expat.ExpatError as error:
        raise InvalidInput(
            N_("This is not XML: {reason} (line {line}, column {column})."),
            reason=expat.errors.messages[error.code],
            line=error.lineno,
            column=error.offset + 1,
        ) from error
    except UnicodeEncodeError as error:
        raise InvalidInput(N_("{field} is not valid text."), field="xml") from error
    assert reader.root is not None
    return reader.root


class _Reader:
    def __init__(self) -> None:
        self.root: Element | None = None
        self._open: list[Element] = []
        self._count = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if self._count > MAX_ELEMENTS or len(self._open) >= MAX_DEPTH:
            raise InvalidInput(N_("The XML has too many elements or is nested too deep."))
        if self._open:
            element = SubElement(self._open[-1], tag, attributes)
        else:
            element = self.root = Element(tag, attributes)
        self._open.append(element)

    def end(self, _tag: str) -> None:
        self._open.pop()

    def data(self, data: str) -> None:
        element = self._open[-1]
        if len(element):
            element[-1].tail = (element[-1].tail or "") + data
        else:
            element.text = (element.text or "") + data

    def forbidden(self, *_arguments: object) -> None:
        raise InvalidInput(N_("A DTD, entities and processing instructions are not allowed in XML here."))

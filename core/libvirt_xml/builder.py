"""XML by declaration: a class says which attributes and elements it has; the same class builds and parses.

What it does not know it leaves as it was. Elements stand in the order the class gives, whatever the order
they were set in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Generic, TypeVar, overload
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from core.libvirt_xml.reader import parse_xml

T = TypeVar("T")
N = TypeVar("N", bound="Node")


def clean(text: str) -> str:
    """The text with what XML 1.0 cannot hold (control and non-characters) replaced by ``?``."""
    return "".join(
        c if c in "\t\n\r" or "\x20" <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c >= "\U00010000" else "?"
        for c in text
    )


class Node:
    """An XML element with declared properties."""

    TAG: ClassVar[str] = ""
    ORDER: ClassVar[tuple[str, ...]] = ()
    """Order of the child elements; others follow behind, in the order they came."""

    def __init__(self, element: Element | None = None, **values: Any) -> None:
        """Wrap an element, or make a new one; then set properties by name."""
        self.element = element if element is not None else Element(self.TAG)
        for name, value in values.items():
            if not hasattr(type(self), name):
                raise AttributeError(f"{type(self).__name__} has no property {name}")
            setattr(self, name, value)

    @classmethod
    def parse(cls: type[N], text: str) -> N:
        """Wrap the root of a document.

        Raises:
            InvalidInput: it is not XML, or holds what is never needed (DTD, entities).
        """
        return cls(parse_xml(text))

    def xml(self) -> str:
        """The document, indented by two blanks."""
        ElementTree.indent(self.element)
        return ElementTree.tostring(self.element, encoding="unicode") + "\n"

    def _step(self, parent: Element, tag: str) -> Element:
        found = parent.find(tag)
        if found is not None:
            return found
        child = Element(tag)
        self._insert(parent, child)
        return child

    def _insert(self, parent: Element, child: Element) -> None:
        if parent is self.element and child.tag in self.ORDER:
            rank = self.ORDER.index(child.tag)
            for index, other in enumerate(parent):
                if other.tag not in self.ORDER or self.ORDER.index(other.tag) > rank:
                    parent.insert(index, child)
                    return
        parent.append(child)

    def ensure(self, path: tuple[str, ...]) -> Element:
        """The element at a path below this one, made when missing."""
        element = self.element
        for tag in path:
            element = self._step(element, tag)
        return element

    def prune(self, path: tuple[str, ...]) -> None:
        """Remove the elements of a path from its end as long as they are empty."""
        chain = [self.element]
        for tag in path:
            child = chain[-1].find(tag)
            if child is None:
                return
            chain.append(child)
        for parent, child in zip(reversed(chain[:-1]), reversed(chain[1:]), strict=True):
            if len(child) or child.attrib or (child.text or "").strip():
                return
            parent.remove(child)


class _Property(Generic[T]):
    """A value at a path: ``source/@file`` is an attribute, ``memory`` a text."""

    def __init__(self, path: str, read: Callable[[str], T], write: Callable[[T], str]) -> None:
        self.path = path
        steps = tuple(part for part in path.split("/") if part and not part.startswith("@"))
        self._steps = steps
        self._attribute = path.rsplit("@", 1)[1] if "@" in path else None
        self._read = read
        self._write = write

    @overload
    def __get__(self, node: None, owner: type) -> _Property[T]: ...
    @overload
    def __get__(self, node: Node, owner: type) -> T | None: ...
    def __get__(self, node: Node | None, owner: type) -> _Property[T] | T | None:
        if node is None:
            return self
        element = node.element.find("/".join(self._steps)) if self._steps else node.element
        if element is None:
            return None
        raw = element.get(self._attribute) if self._attribute else element.text
        return None if raw is None else self._read(raw)

    def __set__(self, node: Node, value: T | None) -> None:
        if value is None:
            self._remove(node)
            return
        element = node.ensure(self._steps)
        text = clean(self._write(value))
        if self._attribute:
            element.set(self._attribute, text)
        else:
            element.text = text

    def _remove(self, node: Node) -> None:
        element = node.element.find("/".join(self._steps)) if self._steps else node.element
        if element is None:
            return
        if self._attribute:
            element.attrib.pop(self._attribute, None)
        else:
            element.text = None
        node.prune(self._steps)


def text(path: str) -> _Property[str]:
    """A text property."""
    return _Property(path, str, str)


def integer(path: str) -> _Property[int]:
    """A whole number."""
    return _Property(path, int, str)


def yes_no(path: str) -> _Property[bool]:
    """``yes`` or ``no``."""
    return _Property(path, lambda raw: raw == "yes", lambda value: "yes" if value else "no")


def on_off(path: str) -> _Property[bool]:
    """``on`` or ``off``."""
    return _Property(path, lambda raw: raw == "on", lambda value: "on" if value else "off")


class Flag:
    """An element that says yes by being there (``<readonly/>``)."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._steps = tuple(path.split("/"))

    def __get__(self, node: Node | None, owner: type) -> Any:
        return self if node is None else node.element.find(self.path) is not None

    def __set__(self, node: Node, value: bool) -> None:
        if value:
            node.ensure(self._steps)
            return
        found = node.element.find(self.path)
        if found is not None:
            found.clear()
            node.prune(self._steps)


class Children(Generic[N]):
    """The child elements of one class below a path; read as a tuple, set as a whole."""

    def __init__(self, path: str, cls: type[N]) -> None:
        self.path = path
        self._parents = tuple(path.split("/")) if path else ()
        self._cls = cls

    @overload
    def __get__(self, node: None, owner: type) -> Children[N]: ...
    @overload
    def __get__(self, node: Node, owner: type) -> tuple[N, ...]: ...
    def __get__(self, node: Node | None, owner: type) -> Children[N] | tuple[N, ...]:
        if node is None:
            return self
        where = "/".join((*self._parents, self._cls.TAG))
        return tuple(self._cls(element) for element in node.element.findall(where))

    def __set__(self, node: Node, values: tuple[N, ...]) -> None:
        parent = node.ensure(self._parents)
        for old in parent.findall(self._cls.TAG):
            parent.remove(old)
        for value in values:
            parent.append(value.element)


def properties(cls: type[Node]) -> Iterator[str]:
    """The names of a class's declared properties (for the test that every one is exercised)."""
    for base in cls.__mro__:
        for name, value in vars(base).items():
            if isinstance(value, _Property | Flag | Children):
                yield name

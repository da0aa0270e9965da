"""YAML text -> a tree of nodes that know their places.

Reads the parser's events and never constructs an object: no tags, no anchors, no aliases, no
merge keys. Scalars follow the core schema of YAML 1.2 (so `no` and `on` are text). Owns the limits
on size and depth, and the mapping from characters of a folded scalar to places in the file.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from rederive.codegen.errors import Mistake, Problems
from rederive.codegen.model import Mark

LARGEST = 1024 * 1024  # bytes
SMALL = 256 * 1024  # what the slow parser may be given
DEEPEST = 24  # nested lists and mappings; the language needs seven

Plain = str | int | float | bool | None
# The pure Python parser is five times slower but is always there.
_FAST = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass
class Node:
    mark: Mark


@dataclass
class Scalar(Node):
    text: str
    style: str  # "" plain, ' " | >
    source: str = field(repr=False)  # as written, quotes and all


@dataclass
class Listing(Node):
    items: list[Node]


@dataclass
class Mapping(Node):
    keys: dict[str, Scalar]
    values: dict[str, Node]


# --- text ----------------------------------------------------------------------------------


def read_text(source: str | os.PathLike[str], name: str) -> tuple[str, Problems]:
    """The text of a file (a path) or the text given (a str), and where to report its mistakes."""
    if isinstance(source, str):
        data = source.encode("utf-8", "surrogatepass")
    else:
        name = os.fspath(source)
        data = _file(Path(source), name)
    if len(data) > LARGEST:
        problems = Problems(name, ())
        problems.add(f"the file is larger than {LARGEST} bytes", None)
        return "", problems
    try:
        text = data.decode("utf-8-sig")
        broken = None
    except UnicodeDecodeError as error:
        text = data.decode("utf-8-sig", "replace")
        broken = data[: error.start].decode("utf-8-sig")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    problems = Problems(name, tuple(text.split("\n")))
    if broken is not None:
        before = broken.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        mark = Mark(len(before), len(before[-1]) + 1)
        problems.add("this byte is not UTF-8", mark)
    else:
        _check_characters(problems)
    return text, problems


def _file(path: Path, name: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(LARGEST + 1)
    except (OSError, ValueError) as error:
        problems = Problems(name, ())
        reason = getattr(error, "strerror", None) or str(error)
        problems.add(f"the file cannot be read: {reason}", None)
        problems.raise_if_any()
        raise


def _check_characters(problems: Problems) -> None:
    """Refuse what a reader cannot see: control, format and private characters, odd spaces."""
    for number, line in enumerate(problems.lines, 1):
        if line.startswith("%"):
            problems.add("a YAML directive is not allowed", Mark(number, 1, len(line)))
            return
        if line.isprintable():
            continue
        column = next(i for i, character in enumerate(line) if not character.isprintable())
        mark = Mark(number, column + 1)
        if line[column] == "\t":
            problems.add("a tab", mark, "indent and separate with spaces")
        else:
            problems.add(f"the invisible character U+{ord(line[column]):04X}", mark)


# --- tree ----------------------------------------------------------------------------------


def read_tree(text: str, problems: Problems) -> Node | None:
    """The tree of the only document in `text`; None if there is none or the YAML is wrong."""
    builder = _Builder(text, problems)
    try:
        for event in yaml.parse(text, Loader=_FAST):
            builder.take(event)
    except yaml.YAMLError as error:
        problems.take(_syntax_mistake(text, error))
        return None
    except Mistake as mistake:
        problems.take(mistake)
        return None
    return builder.root


def _syntax_mistake(text: str, error: yaml.YAMLError) -> Mistake:
    # The two parsers word their messages differently; the Python one is the same everywhere.
    try:
        for _ in yaml.parse(text[:SMALL], Loader=yaml.SafeLoader):
            pass
    except yaml.YAMLError as plain:
        if len(text) <= SMALL:
            error = plain
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or "wrong YAML"
    where = Mark(mark.line + 1, mark.column + 1) if mark is not None else None
    return Mistake(f"YAML: {problem}", where, getattr(error, "note", None) or "")


@dataclass
class _Frame:
    """A list or a mapping whose end has not come yet."""

    node: Listing | Mapping
    key: Scalar | None = None  # of the value to come; None if it was refused
    value_next: bool = False


class _Builder:
    """Builds the tree without recursion, so that nesting costs no stack."""

    def __init__(self, text: str, problems: Problems) -> None:
        self.text = text
        self.problems = problems
        self.lines = problems.lines
        self.stack: list[_Frame] = []
        self.root: Node | None = None
        self.documents = 0

    def take(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                raise Mistake("a second YAML document", self.mark(event))
        elif isinstance(event, yaml.NodeEvent):
            self.check_plain(event)
            self.place(self.node(event))
        elif isinstance(event, yaml.CollectionEndEvent):
            self.end(self.stack.pop().node, event)
            if self.stack:
                self.filled(self.stack[-1])

    def mark(self, event: yaml.Event) -> Mark:
        start, end = event.start_mark, event.end_mark
        assert start is not None and end is not None
        # An empty node at the end of the text may stand after the last line.
        line = self.lines[start.line] if start.line < len(self.lines) else ""
        rest = len(line.rstrip()) - start.column
        length = end.column - start.column if end.line == start.line else rest
        return Mark(start.line + 1, start.column + 1, max(1, min(length, rest)))

    def check_plain(self, event: yaml.NodeEvent) -> None:
        if isinstance(event, yaml.AliasEvent):
            self.problems.add("an alias is not allowed", self.mark(event), "write it out")
        elif event.anchor is not None:
            self.problems.add("an anchor is not allowed", self.mark(event), "write it out")
        elif (tag := getattr(event, "tag", None)) is not None:
            self.problems.add(f"the tag {tag} is not allowed", self.mark(event))

    def node(self, event: yaml.NodeEvent) -> Node:
        mark = self.mark(event)
        if isinstance(event, yaml.ScalarEvent):
            start, end = event.start_mark, event.end_mark
            source = self.text[start.index : end.index] if start and end else ""
            style = event.style if event.style in ("'", '"', "|", ">") else ""
            return Scalar(mark, self.checked(event.value, mark), style, source)
        if isinstance(event, yaml.AliasEvent):
            return Scalar(mark, "", "", "")
        line = self.lines[mark.line - 1] if mark.line <= len(self.lines) else ""
        mark = Mark(mark.line, mark.column, max(1, len(line.rstrip()) - mark.column + 1))
        return (
            Listing(mark, [])
            if isinstance(event, yaml.SequenceStartEvent)
            else Mapping(mark, {}, {})
        )

    def checked(self, value: str, mark: Mark) -> str:
        """Escapes of a quoted scalar may spell what `_check_characters` refuses."""
        for line in value.split("\n"):
            if not line.isprintable():
                self.problems.add("an invisible character in this text", mark)
                return ""
        for opening in ("{{", "{%", "{#"):
            if opening in value:
                self.problems.add(f"'{opening}' is not allowed", mark, "it opens a template")
                return ""
        return value

    def end(self, node: Node, event: yaml.Event) -> None:
        """Only now is it known how far a collection in braces or brackets reaches."""
        end = event.end_mark
        if end is not None and end.line + 1 == node.mark.line:
            length = max(1, end.column + 1 - node.mark.column)
            node.mark = Mark(node.mark.line, node.mark.column, length)

    def place(self, node: Node) -> None:
        if not self.stack:
            self.root = node
        else:
            frame = self.stack[-1]
            if isinstance(frame.node, Listing):
                frame.node.items.append(node)
            elif not frame.value_next:
                self.key(frame, frame.node, node)
            elif frame.key is not None:
                frame.node.keys[frame.key.text] = frame.key
                frame.node.values[frame.key.text] = node
        if isinstance(node, Listing | Mapping):
            if len(self.stack) >= DEEPEST:
                raise Mistake(f"nested more than {DEEPEST} deep", node.mark)
            self.stack.append(_Frame(node))
        elif self.stack:
            self.filled(self.stack[-1])

    def key(self, frame: _Frame, mapping: Mapping, node: Node) -> None:
        if not isinstance(node, Scalar) or not _is_word(node.text):
            formula = isinstance(node, Scalar) and set(node.text) & set("()")
            hint = "in braces, quote a formula that holds a comma" if formula else ""
            self.problems.add("a key is a name", node.mark, hint)
        elif node.text in mapping.keys:
            first = mapping.keys[node.text].mark.line
            self.problems.add(f"a second key '{node.text}'", node.mark, f"first in line {first}")
        else:
            frame.key = node

    def filled(self, frame: _Frame) -> None:
        """A node of `frame` is complete: after a key comes a value, after a value a key."""
        if frame.value_next:
            frame.key = None
        frame.value_next = isinstance(frame.node, Mapping) and not frame.value_next


def _is_word(text: str) -> bool:
    return text.isascii() and text.replace("_", "a").isalnum() and len(text) <= 80


# --- values --------------------------------------------------------------------------------


def plain(scalar: Scalar) -> Plain:
    """The value of a scalar: text, a number, true/false or null."""
    text = scalar.text
    if scalar.style:
        return text
    if text in ("", "~", "null", "Null", "NULL"):
        return None
    if text in ("true", "True", "TRUE", "false", "False", "FALSE"):
        return text[0] in "tT"
    return _number(text)


def _number(text: str) -> Plain:
    bare = text[1:] if text[:1] in ("-", "+") else text
    if bare in (".inf", ".Inf", ".INF"):
        return float("-inf") if text[0] == "-" else float("inf")
    if bare in (".nan", ".NaN", ".NAN") and bare == text:
        return float("nan")
    starts = bare[1:2] if bare[:1] == "." else bare[:1]
    if len(bare) > 32 or not starts.isdigit() or not set(bare) <= set("0123456789.eE+-"):
        return text
    try:
        return int(text) if bare.isdigit() else float(text)
    except ValueError:
        return text


def data(node: Node) -> object:
    """The plain lists, dictionaries and values of a tree."""
    if isinstance(node, Listing):
        return [data(item) for item in node.items]
    if isinstance(node, Mapping):
        return {key: data(value) for key, value in node.values.items()}
    assert isinstance(node, Scalar)
    return plain(node)


def descend(node: Node, path: list[str | int]) -> Node:
    """The node that `path` leads to, or the last one on the way that exists."""
    for step in path:
        if isinstance(node, Mapping) and step in node.values:
            node = node.values[str(step)]
        elif isinstance(node, Listing) and isinstance(step, int) and step < len(node.items):
            node = node.items[step]
        else:
            break
    return node


# --- places in a scalar --------------------------------------------------------------------


def trace(scalar: Scalar) -> tuple[str, Callable[[int, int], Mark]]:
    """The text of a scalar on one line, and a function from its characters to the file."""
    text = " ".join(line.strip() for line in scalar.text.strip().split("\n"))
    places = _places(text, scalar)

    def locate(first: int, last: int) -> Mark:
        if not places:
            return scalar.mark
        if first >= len(places):  # the end of the text: just after its last character
            line, column = places[-1]
            return Mark(line, column + 1)
        line, column = places[first]
        end_line, end = places[min(max(last, first + 1), len(places)) - 1]
        return Mark(line, column, end - column + 1 if end_line == line else 1)

    return text, locate


def _places(text: str, scalar: Scalar) -> list[tuple[int, int]]:
    """(line, column) of each character of `text`; empty if they cannot be told."""
    source, places = scalar.source, list[tuple[int, int]]()
    line, column, i = scalar.mark.line, scalar.mark.column, 0
    if scalar.style in ("|", ">"):
        i = source.find("\n") + 1
        line, column = line + 1, 1
    elif scalar.style:
        i, column = 1, column + 1
    for character in text:
        if character == " ":
            # Where a line was folded the space stands for the end of the line.
            places.append((line, column))
            if i < len(source) and source[i] == " ":
                i, column = i + 1, column + 1
            continue
        while i < len(source) and source[i] in " \n":
            line, column = (line + 1, 1) if source[i] == "\n" else (line, column + 1)
            i += 1
        escaped = scalar.style == '"' and source[i : i + 1] == "\\"
        doubled = scalar.style == "'" and source[i : i + 2] == "''"
        if escaped or doubled:
            i, column = i + 1, column + 1
        if source[i : i + 1] != character:
            return []
        places.append((line, column))
        i, column = i + 1, column + 1
    return places

"""Specification file -> model: the first stage of the generator.

Owns the meaning of the keys. Every mistake of reading (YAML, shape, syntax of signatures and
formulas) is collected; what names and functions mean is left to `check`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import replace

from rederive.codegen import document, formula, signature, structure
from rederive.codegen.document import Listing, Mapping, Node, Scalar
from rederive.codegen.errors import Mistake, Problems, TooMany
from rederive.codegen.model import (
    FAMILIES,
    Case,
    Constant,
    Entry,
    Formula,
    Mark,
    Path,
    Places,
    Signature,
    Specification,
)
from rederive.codegen.names import LONGEST

WIDEST = 72  # columns of a formula
MOST_PARTS = 64  # formulas of one mapping
LAST = 1 << 30  # a line after all others
_LIST_HINT = "a specification is a list: - op: name(Tensor self) -> Tensor"


def load(
    source: str | os.PathLike[str],
    name: str = "derivatives.yaml",
    imported: tuple[Entry, ...] = (),
) -> Specification:
    """Read a specification: a path (os.PathLike) or the text itself (str).

    name: what messages call the file when text is given. imported: operators of other files that
    this one may call. Raises `SpecError` with every mistake.
    """
    specification, problems, _ = read(source, name, imported)
    problems.raise_if_any()
    return specification


def read(
    source: str | os.PathLike[str],
    name: str = "derivatives.yaml",
    imported: tuple[Entry, ...] = (),
) -> tuple[Specification, Problems, frozenset[str]]:
    """As `load`, but hands back the mistakes, and the operators whose entries are unusable."""
    text, problems = document.read_text(source, name)
    entries: list[Entry] = []
    damaged: set[str] = set()
    with contextlib.suppress(TooMany):
        root = None if problems.found else document.read_tree(text, problems)
        if isinstance(root, Listing) and root.items:
            broken = [found.mark.line for found in problems.found]
            for number, node in enumerate(root.items, 1):
                last = root.items[number].mark.line if number < len(root.items) else LAST
                entry = None
                if not any(node.mark.line <= line < last for line in broken):
                    entry = _entry(node, f"entry {number}", problems)
                if entry is not None:
                    entries.append(entry)
                else:
                    damaged |= _meant(node)
        elif not problems.found:
            mark = root.mark if root else None
            problems.add("a list of operators is expected", mark, _LIST_HINT)
    specification = Specification(problems.path, tuple(entries), imported, problems.lines)
    return specification, problems, frozenset(damaged)


def _entry(node: Node, context: str, problems: Problems) -> Entry | None:
    if not isinstance(node, Mapping):
        problems.add(f"{context}: must be a mapping", node.mark, _LIST_HINT)
        return None
    op = node.values.get("op")
    declared: Signature | None = None
    if isinstance(op, Scalar) and op.text.strip():
        context = f"op '{_label(op)}'" if _label(op) else context
        text, locate = document.trace(op)
        try:
            declared = signature.parse(text, op.mark, locate)
        except Mistake as mistake:
            problems.take(mistake, context)
    sound = structure.check_entry(node, context, problems)
    if declared is None or not sound:
        return None
    return _Reader(node, declared, context, problems).entry()


def _label(op: Node | None) -> str:
    """What stands before the parenthesis of a signature, if that is a name."""
    name = op.text.partition("(")[0].strip() if isinstance(op, Scalar) else ""
    return name if name.replace(".", "_").isidentifier() and len(name) <= 2 * LONGEST else ""


def _meant(node: Node) -> set[str]:
    """The names of the operator that an unusable entry meant to declare."""
    label = _label(node.values.get("op")) if isinstance(node, Mapping) else ""
    return {label.partition(".")[0], label.replace(".", "_")} - {""}


class _Reader:
    """Reads one entry whose shape is right."""

    def __init__(
        self, node: Mapping, declared: Signature, context: str, problems: Problems
    ) -> None:
        self.node = node
        self.signature = declared
        self.context = context
        self.problems = problems

    def entry(self) -> Entry:
        family = next(key for key in FAMILIES if key in self.node.values)
        namespace = self.namespace()
        gradients = self.node.values.get("gradients")
        entry = Entry(
            signature=self.signature,
            doc=self.doc(),
            family=family,
            group=self.text(self.node.values.get("group")),
            let=self.formulas(self.node.values.get("let"), "let"),
            gradients=self.formulas(gradients, "gradient of"),
            auto=isinstance(gradients, Scalar),
            jvp=self.formulas(self.node.values.get("jvp"), "jvp of"),
            linear=self.names("linear"),
            not_differentiable=self.not_differentiable(),
            not_implemented=self.reasons(),
            namespace=namespace,
            aliases=self.names("aliases"),
            operator=self.text(self.node.values.get("operator")),
            method=self.method(namespace),
            inplace={"true": True, "false": False}.get(self.text(self.node.values.get("inplace"))),
            out=self.text(self.node.values.get("out")) != "false",
            exact=self.text(self.node.values.get("out")) == "exact",
            dtype=self.text(self.node.values.get("dtype")),
            integer_errors=tuple(self.integer_errors()),
            absent=tuple((k, _float(v)) for k, v in self.items("absent")),
            shapes=tuple((k, _texts(v)) for k, v in self.items("shapes")),
            samples=tuple((k, _pair(v)) for k, v in self.items("samples")),
            points=tuple((k, _floats(v)) for k, v in self.items("points")),
            calls=self.calls(),
            reference=self.reference(),
            mark=self.signature.mark,
            places=places(self.node),
        )
        return self.with_forward(entry, self.node.values[family])

    def with_forward(self, entry: Entry, body: Node) -> Entry:
        """The entry with what its family's key says."""
        if entry.family == "pointwise":
            return replace(entry, results=self.results(body, entry.family))
        if entry.family == "rowwise":
            assert isinstance(body, Mapping)
            return replace(
                entry,
                over=self.text(body.values["over"]),
                numbers=_texts(body.values["numbers"]) if "numbers" in body.values else (),
                runs=_texts(body.values["runs"]) if "runs" in body.values else (),
                empty=self.number(body.values.get("empty")),
                let=entry.let + self.formulas(body.values.get("let"), "let"),
                results=self.results(body.values["result"], entry.family),
            )
        if entry.family == "composite":
            return replace(entry, cases=tuple(self.cases(body)))
        return replace(entry, target=self.text(body))

    # -- small values -----------------------------------------------------------------------

    def text(self, node: Node | None) -> str:
        return node.text.strip() if isinstance(node, Scalar) else ""

    def number(self, node: Node | None) -> float | None:
        value = document.plain(node) if isinstance(node, Scalar) else None
        return float(value) if isinstance(value, int | float) else None

    def items(self, key: str) -> Iterator[tuple[str, Node]]:
        node = self.node.values.get(key)
        if isinstance(node, Mapping):
            yield from node.values.items()

    def names(self, key: str) -> tuple[str, ...]:
        node = self.node.values.get(key)
        return tuple(self.text(item) for item in node.items) if isinstance(node, Listing) else ()

    def doc(self) -> str:
        node = self.node.values["doc"]
        doc = self.text(node)
        where = f"{self.context}, doc"
        if not doc:
            self.problems.add(f"{where}: must not be empty", node.mark)
        for part in ('"""', "\\"):
            if part in doc:
                message = f"{where}: {part} is not allowed"
                self.problems.add(message, node.mark, "the text becomes a docstring")
        if doc.endswith('"'):
            self.problems.add(f"{where}: must not end with a quotation mark", node.mark)
        return doc

    def namespace(self) -> tuple[str, ...]:
        node = self.node.values.get("namespace")
        if isinstance(node, Scalar):
            return (self.text(node),)
        return self.names("namespace") or ("torch",)

    def method(self, namespace: tuple[str, ...]) -> bool | str:
        node = self.node.values.get("method")
        if isinstance(node, Scalar):
            value = document.plain(node)
            return value if isinstance(value, str) else bool(value)
        first = self.signature.arguments[:1]
        on_self = bool(first) and first[0].name == "self" and first[0].is_tensor
        return on_self and not first[0].many and "torch" in namespace

    def not_differentiable(self) -> tuple[str, ...]:
        if isinstance(self.node.values.get("not_differentiable"), Scalar):  # all
            tensors = tuple(argument.name for argument in self.signature.tensors)
            return tensors + tuple(output.name for output in self.signature.outputs)
        return self.names("not_differentiable")

    def reasons(self) -> tuple[tuple[str, str], ...]:
        found = tuple((key, self.text(node)) for key, node in self.items("not_implemented"))
        for (key, reason), (_, node) in zip(found, self.items("not_implemented"), strict=True):
            if not reason or '"""' in reason or "\\" in reason:
                message = f"{self.context}, not_implemented '{key}': a plain reason is required"
                self.problems.add(message, node.mark)
        return found

    def calls(self) -> tuple[tuple[tuple[str, object], ...], ...]:
        node = self.node.values.get("calls")
        if not isinstance(node, Listing):
            return ()
        mappings = (item for item in node.items if isinstance(item, Mapping))
        return tuple(
            tuple((key, document.data(value)) for key, value in item.values.items())
            for item in mappings
        )

    # -- formulas ---------------------------------------------------------------------------

    def formulas(self, node: Node | None, label: str) -> tuple[tuple[str, Formula], ...]:
        if not isinstance(node, Mapping):
            return ()
        items = list(node.values.items())
        if len(items) > MOST_PARTS:
            message = f"{self.context}: more than {MOST_PARTS} formulas in one mapping"
            self.problems.add(message, node.mark)
        return tuple(
            (key, self.formula(value, f"{label} '{key}'")) for key, value in items[:MOST_PARTS]
        )

    def results(self, node: Node, family: str) -> tuple[tuple[str, Formula], ...]:
        if isinstance(node, Mapping):
            return self.formulas(node, family)
        return (("result", self.formula(node, family)),)

    def cases(self, node: Node) -> Iterator[Case]:
        if not isinstance(node, Listing):
            yield Case(None, (), self.formula(node, "composite"))
            return
        for number, item in enumerate(node.items, 1):
            assert isinstance(item, Mapping)
            label = f"composite case {number}"
            condition = item.values.get("if")
            yield Case(
                None if condition is None else self.formula(condition, f"{label}, if"),
                self.formulas(item.values.get("let"), f"{label}, let"),
                self.formula(item.values["result"], label),
            )

    def integer_errors(self) -> Iterator[tuple[str, Formula]]:
        node = self.node.values.get("integer_errors")
        for number, item in enumerate(node.items if isinstance(node, Listing) else (), 1):
            assert isinstance(item, Mapping)
            condition = self.formula(item.values["if"], f"integer_errors {number}, if")
            yield self.text(item.values["error"]), condition

    def reference(self) -> Formula | None:
        node = self.node.values.get("reference")
        if node is None:
            return None
        return self.formula(node, "reference", formula.parse_reference)

    def formula(
        self,
        node: Node,
        label: str,
        parser: Callable[[str, Mark, formula.Locate], Formula] = formula.parse,
    ) -> Formula:
        assert isinstance(node, Scalar)
        text, locate = document.trace(node)
        where = f"{self.context}, {label}"
        try:
            if parser is formula.parse:
                self.check_width(node, where)
            return parser(text, node.mark, locate)
        except Mistake as mistake:
            self.problems.take(mistake, where)
        # Stands in for the formula, so that the rest of the entry can still be checked.
        return Formula(text, Constant(0, mark=node.mark), node.mark)

    def check_width(self, node: Scalar, where: str) -> None:
        lines = [line.strip() for line in node.source.split("\n")]
        if node.style in ("|", ">"):
            lines = lines[1:]
        widest = max(map(len, lines), default=0)
        if widest > WIDEST + (2 if node.style in ("'", '"') else 0):
            message = f"{where}: {widest} columns wide; at most {WIDEST} are allowed"
            self.problems.add(message, node.mark, "name a shared part in 'let:'")


def _float(node: Node) -> float:
    value = document.data(node)
    assert isinstance(value, int | float)
    return float(value)


def _floats(node: Node) -> tuple[float, ...]:
    assert isinstance(node, Listing)
    return tuple(_float(item) for item in node.items)


def _texts(node: Node) -> tuple[str, ...]:
    items = node.items if isinstance(node, Listing) else ()
    return tuple(item.text.strip() for item in items if isinstance(item, Scalar))


def _pair(node: Node) -> tuple[float, float]:
    low, high = _floats(node)
    return low, high


def places(node: Mapping) -> Places:
    """Where the parts of an entry stand."""
    keys: dict[Path, Mark] = {}
    values: dict[Path, Mark] = {(): next(iter(node.keys.values())).mark if node.keys else node.mark}
    todo: list[tuple[Path, Node]] = [((), node)]
    while todo:
        path, part = todo.pop()
        if isinstance(part, Mapping):
            for key, value in part.values.items():
                keys[(*path, key)] = part.keys[key].mark
                values[(*path, key)] = value.mark
                todo.append(((*path, key), value))
        elif isinstance(part, Listing):
            for index, item in enumerate(part.items):
                values[(*path, index)] = item.mark
                todo.append(((*path, index), item))
    return Places(keys, values)

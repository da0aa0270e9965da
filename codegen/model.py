"""The frozen model of a specification: what `load` reads, `check` verifies and `lower` consumes.

Owns the data classes only. Every formula is an `Expr` tree built from the checked `ast`;
no string of the YAML travels further than this module's leaves (names, numbers, prose).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Mark:
    """A place in a file: 1-based line and column, and how many characters to underline."""

    line: int
    column: int
    length: int = 1


# --- formulas ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Expr:
    """Base of all expression nodes; `mark` points into the YAML file and is not compared."""

    mark: Mark | None = field(default=None, compare=False, kw_only=True)


@dataclass(frozen=True)
class Name(Expr):
    """An argument, a `let` name, `grad`, `result`, `tangent`, ..."""

    id: str


@dataclass(frozen=True)
class Constant(Expr):
    """A number, string, bool or None literal."""

    value: int | float | str | bool | None


@dataclass(frozen=True)
class Call(Expr):
    """A call of a declared operator, a scalar function or a query such as `shape(self)`."""

    function: str
    arguments: tuple[Expr, ...]
    keywords: tuple[tuple[str, Expr], ...] = ()


@dataclass(frozen=True)
class Unary(Expr):
    """`operator` is one of "-", "not"."""

    operator: str
    operand: Expr


@dataclass(frozen=True)
class Binary(Expr):
    """`operator` is one of + - * / // % ** @ == != < <= > >= and or is."""

    operator: str
    left: Expr
    right: Expr


@dataclass(frozen=True)
class Sequence(Expr):
    """A tuple or list display."""

    items: tuple[Expr, ...]


@dataclass(frozen=True)
class Index(Expr):
    """`value[index]`, only on the results of queries, tensor lists and argument sequences."""

    value: Expr
    index: Expr


@dataclass(frozen=True)
class Formula:
    """An expression and the text that a person wrote, verbatim (whitespace at the ends cut)."""

    text: str
    tree: Expr
    mark: Mark | None = field(default=None, compare=False)


# --- signatures ----------------------------------------------------------------------------

TYPES = (
    "Tensor",  # Tensor?  Tensor|Scalar  Tensor|Scalar?  Tensor[]
    "Scalar",
    "int",  # int?  int[]  int[]?  int... (varargs or one sequence)
    "float",  # float?
    "bool",
    "str",  # str?
    "Dtype",  # Dtype?
)


@dataclass(frozen=True)
class Argument:
    """One argument of a signature, for example `Tensor|Scalar? min=None`."""

    name: str
    type: str  # base type: one of TYPES; "Tensor|Scalar" has type Tensor and or_scalar
    or_scalar: bool = False
    optional: bool = False  # a trailing "?"
    many: bool = False  # a trailing "[]"
    variadic: bool = False  # a trailing "..."
    keyword_only: bool = False
    has_default: bool = False
    default: int | float | str | bool | tuple[int, ...] | None = None
    mark: Mark | None = field(default=None, compare=False)

    @property
    def is_tensor(self) -> bool:
        return self.type == "Tensor"


@dataclass(frozen=True)
class Output:
    """One output: `Tensor` (named "result") or `Tensor values` in a tuple; `Tensor[]` is many."""

    name: str
    many: bool = False
    mark: Mark | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Signature:
    name: str  # public name, "max"
    overload: str  # "dim" of "max.dim", "" when there is none
    arguments: tuple[Argument, ...]
    outputs: tuple[Output, ...]
    text: str
    mark: Mark | None = field(default=None, compare=False)

    @property
    def label(self) -> str:
        """The name as declared, "max.dim"."""
        return f"{self.name}.{self.overload}" if self.overload else self.name

    def argument(self, name: str) -> Argument:
        return next(a for a in self.arguments if a.name == name)

    @property
    def tensors(self) -> tuple[Argument, ...]:
        return tuple(a for a in self.arguments if a.is_tensor)


# --- places --------------------------------------------------------------------------------

Path = tuple[str | int, ...]  # ("gradients", "self"), ("linear", 0)


@dataclass(frozen=True)
class Places:
    """Where the parts of an entry stand in the file, for messages only."""

    keys: Mapping[Path, Mark] = field(default_factory=dict)
    values: Mapping[Path, Mark] = field(default_factory=dict)

    def key(self, *path: str | int) -> Mark | None:
        """The key of a mapping's item; what holds it if there is none."""
        return self.keys.get(path) or self.value(*path)

    def value(self, *path: str | int) -> Mark | None:
        """A value; what holds it if there is none."""
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path)


# --- entries -------------------------------------------------------------------------------

FAMILIES = ("pointwise", "rowwise", "view", "library", "kernel", "composite", "program")
COMPOSED = ("composite", "program")  # families whose operators call others and have no node


@dataclass(frozen=True)
class Case:
    """One alternative of a composite: taken when `condition` holds (None: always)."""

    condition: Formula | None
    let: tuple[tuple[str, Formula], ...]
    result: Formula


@dataclass(frozen=True)
class Entry:
    """One operator, as declared."""

    signature: Signature
    doc: str
    family: str
    group: str  # "" or the section that names the generated file
    # Forward, by family:
    let: tuple[tuple[str, Formula], ...] = ()  # pointwise, rowwise
    results: tuple[tuple[str, Formula], ...] = ()  # pointwise, rowwise: output name -> formula
    over: str = ""  # rowwise: the argument that names the reduced dimensions
    numbers: tuple[str, ...] = ()  # rowwise: tensors of one number a lane
    runs: tuple[str, ...] = ()  # rowwise: tensors of one number a run of a lane
    empty: float | None = None  # rowwise: the result of a lane without elements
    cases: tuple[Case, ...] = ()  # composite
    target: str = ""  # view: geometry; library: dotted function; kernel, program: its name
    # Backward and forward mode:
    gradients: tuple[tuple[str, Formula], ...] = ()
    auto: bool = False  # gradients: auto
    jvp: tuple[tuple[str, Formula], ...] = ()
    linear: tuple[str, ...] = ()  # tensor arguments in which the operator is linear
    not_differentiable: tuple[str, ...] = ()  # arguments and outputs without a gradient
    not_implemented: tuple[tuple[str, str], ...] = ()  # argument -> reason
    # Interface:
    namespace: tuple[str, ...] = ("torch",)  # "torch", "nn.functional", "special", "linalg", ...
    aliases: tuple[str, ...] = ()
    operator: str = ""  # Python operator, "*"
    method: bool | str = False  # True, False or "property"
    dtype: str = ""  # "", promote, float, bool, same, index: how outputs get their dtype
    integer_errors: tuple[tuple[str, Formula], ...] = ()  # pointwise: message -> condition
    absent: tuple[tuple[str, float], ...] = ()  # optional tensor -> the constant it stands for
    inplace: bool | None = None  # whether there is `name_`; None: if pointwise and public
    out: bool = True  # the function of a namespace takes `out`, unless it is a view
    exact: bool = False  # which must have the dtype of the result
    shapes: tuple[tuple[str, tuple[str, ...]], ...] = ()  # tensor -> a letter a dimension
    # Tests and docs:
    samples: tuple[tuple[str, tuple[float, float]], ...] = ()
    points: tuple[tuple[str, tuple[float, ...]], ...] = ()
    calls: tuple[tuple[tuple[str, object], ...], ...] = ()  # explicit sample calls
    reference: Formula | None = None
    mark: Mark | None = field(default=None, compare=False)
    places: Places = field(default_factory=Places, compare=False, repr=False)

    @property
    def name(self) -> str:
        """Unique internal name: `max_dim` for `max.dim`."""
        s = self.signature
        return f"{s.name}_{s.overload}" if s.overload else s.name

    @property
    def has_inplace(self) -> bool:
        """Whether there is `name_`, which writes into the first argument."""
        if self.inplace is None:
            return self.family == "pointwise" and "internal" not in self.namespace
        return self.inplace


@dataclass(frozen=True)
class Specification:
    path: str
    entries: tuple[Entry, ...]
    imported: tuple[Entry, ...] = ()  # operators of rederive that a user's file may call
    lines: tuple[str, ...] = field(default=(), compare=False, repr=False)  # for messages

"""What `lower` hands to the templates: kernels and operators, ready to print."""

from __future__ import annotations

from dataclasses import dataclass

from .model import Argument, Entry


@dataclass(frozen=True)
class Kernel:
    """One Numba kernel over flat arrays."""

    name: str
    comments: tuple[str, ...]  # the formulas, verbatim
    inputs: tuple[str, ...]  # arrays read
    scalars: tuple[str, ...]  # scalar arguments
    outputs: tuple[str, ...]  # arrays written
    body: tuple[str, ...]  # statements of the innermost loop
    number_from: str = ""  # the array whose dtype literals get; "" when there are none
    parallel: bool = True
    rows: bool = False  # also called for rows of operands that are broadcast or strided
    alone: tuple[tuple[str, str], ...] = ()  # operand -> kernel for rows along which it is constant
    lane: object = None  # layout of a rowwise kernel

    @property
    def arguments(self) -> tuple[str, ...]:
        return (*self.inputs, *self.scalars)

    @property
    def along(self) -> str:
        """An array that is written; without outputs it is the first one that is read."""
        return (*self.outputs, *self.inputs)[0]


@dataclass(frozen=True)
class Saved:
    """A value that the node keeps for its gradient formulas."""

    name: str  # as the formulas say it: "self", "result", "dim", "self_shape"
    kind: str  # "input", "output", "value", "shape" or "dtype"
    source: str  # the argument or output that it comes from
    needed_by: tuple[int, ...]  # positions among the differentiable inputs


@dataclass(frozen=True)
class Backward:
    """How the gradients of a set of inputs come about."""

    wanted: tuple[int, ...]  # positions among the differentiable inputs
    kernel: Kernel | None  # None: every gradient is the incoming one
    computed: tuple[int, ...]  # which positions the kernel writes, in order
    saved: tuple[str, ...]  # saved names that the kernel reads


@dataclass(frozen=True)
class Form:
    """One way to call a pointwise operator: which operands are tensors."""

    scalar: str  # the operand that is a Python scalar, or ""
    forward: Kernel
    backward: tuple[Backward, ...]
    saved: tuple[Saved, ...]
    folded: bool  # parameters at their defaults are folded into the kernels


@dataclass(frozen=True)
class InPlace:
    """One way to call the in-place form of a pointwise operator, where no graph is recorded."""

    scalar: str  # the operand that is a Python scalar, or ""
    kernel: Kernel


@dataclass(frozen=True)
class Code:
    """Text of a function over Tensors: statements, then one expression per output."""

    lines: tuple[str, ...]
    values: tuple[str, ...]


@dataclass(frozen=True)
class Gradient:
    """The tensor lowering of one gradient formula."""

    argument: str
    position: int
    text: str
    lines: tuple[str, ...]
    arrays: tuple[str, ...] = ()  # the same over arrays; () where there is no such form


@dataclass(frozen=True)
class Operator:
    """Everything that the functions template prints for one entry."""

    entry: Entry
    constant: str  # MUL
    node: str  # MulBackward0, "" for composites and operators without gradient
    arguments: tuple[Argument, ...]
    operands: tuple[Argument, ...]  # tensor arguments
    parameters: tuple[Argument, ...]  # the others
    differentiable: tuple[str, ...]  # arguments with a gradient formula
    differentiable_outputs: tuple[int, ...]
    rule: str  # dtype rule
    masks: tuple[str, ...]
    saved: tuple[Saved, ...]
    gradients: tuple[Gradient, ...]
    prelude: tuple[str, ...]  # statements before the gradient formulas (let names)
    jvp: tuple[Gradient, ...]
    jvp_prelude: tuple[str, ...]
    undefined: tuple[int, ...] = ()  # outputs whose gradient formulas take None
    forms: tuple[Form, ...] = ()  # pointwise
    full: Form | None = None  # pointwise, with parameters kept
    inplace: tuple[InPlace, ...] = ()  # pointwise
    integer_errors: tuple[tuple[str, str], ...] = ()  # pointwise: condition text, message
    kernels: tuple[Kernel, ...] = ()
    lane: object = None  # rowwise
    cases: tuple[tuple[str, Code], ...] = ()  # composite: condition text, code
    array_cases: tuple[tuple[str, str], ...] = ()  # composite on arrays: condition, result

    @property
    def on_arrays(self) -> bool:
        """Whether all gradients can be computed on arrays."""
        return bool(self.gradients) and all(g.arrays for g in self.gradients)

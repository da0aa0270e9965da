"""The record of a declared operator, as checks, docs and benchmarks read it."""

from __future__ import annotations

from collections import namedtuple

Argument = namedtuple(
    "Argument", "name type or_scalar optional many variadic keyword_only has_default default"
)
Output = namedtuple("Output", "name many")


class Declared:
    """One declared operator: signature, formulas, samples; `function` is what it became."""

    __slots__ = (
        "arguments",
        "calls",
        "differentiable",
        "differentiable_outputs",
        "doc",
        "family",
        "gradients",
        "group",
        "jvp",
        "name",
        "namespace",
        "outputs",
        "overload",
        "points",
        "public",
        "reference",
        "samples",
        "signature",
    )

    def __init__(self, arguments, outputs, **fields):
        self.arguments = tuple(Argument(*a) for a in arguments)
        self.outputs = tuple(Output(*o) for o in outputs)
        for key, value in fields.items():
            setattr(self, key, value)

    @property
    def function(self):
        """The generated function of exactly this entry (not the chooser among overloads)."""
        from .register import functions

        return functions[self.name]

    def __repr__(self):
        return f"<declared {self.signature}>"


def declared(**fields):
    """A registry record; called by generated code only."""
    return Declared(**fields)

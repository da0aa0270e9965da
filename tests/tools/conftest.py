"""A maker of registry operators, for tests of the tools that iterate the registry."""

from types import SimpleNamespace

import pytest
from rederive.codegen.model import Argument, Output

SELF = Argument("self", "Tensor")


def declare(
    name="twice",
    function=None,
    arguments=(SELF,),
    outputs=("result",),
    **fields,
):
    """An operator with the attributes of a registry entry; `fields` overrides any of them."""
    tensors = tuple(a.name for a in arguments if a.type == "Tensor")
    entry = {
        "name": name,
        "public": name.partition("_")[0],
        "overload": name.partition("_")[2],
        "family": "pointwise",
        "group": "",
        "signature": f"{name}(...) -> Tensor",
        "function": function,
        "arguments": tuple(arguments),
        "outputs": tuple(Output(output) for output in outputs),
        "gradients": {},
        "jvp": {},
        "differentiable": tensors,
        "differentiable_outputs": tuple(outputs),
        "samples": {},
        "points": {},
        "calls": (),
        "reference": None,
        "doc": "An operator of the tests.",
        "namespace": ("torch",),
    }
    return SimpleNamespace(**(entry | fields))


@pytest.fixture(name="declare")
def declare_fixture():
    return declare

"""What the generator wrote; regenerate with `make generate`, never edit.

Generated from square_sum.yaml: the declared operators and how they are reached.
"""

from rederive.door import register

from . import (
    functions_pointwise,
    functions_rowwise,
    functions_view,
)

# name, public name, namespaces, aliases, method, Python operator
INTERFACE = (
    ("mul", "mul", ("torch",), (), True, ""),
    ("expand", "expand", ("torch",), (), True, ""),
    ("energy", "energy", ("torch",), (), True, ""),
)

register(
    globals(),
    INTERFACE,
    (
        functions_pointwise,
        functions_view,
        functions_rowwise,
    ),
)

"""Views that must not be changed in place while that is recorded, and the errors that say why.

A view carries a mark if it was made while nothing was recorded, by an operator that returns
several views, or by a custom Function. Marks pass on to views of the view.
"""

from __future__ import annotations

from .graph import Node, Nowhere

MANY, NO_GRAD, INFERENCE, CUSTOM = "many", "no_grad", "inference", "custom"

_BOTH = (
    " Given that this use case is ambiguous and error-prone, it is forbidden. You can clarify your "
    "code by moving both the view and the inplace either both inside the {mode} block (if you "
    "don't want the inplace to be tracked) or both outside (if you want the inplace to be tracked)."
)
_WHY = {
    MANY: (
        " This view is the output of a function that returns multiple views. Such functions do not "
        "allow the output views to be modified inplace. You should replace the inplace operation "
        "by an out-of-place one."
    ),
    NO_GRAD: _BOTH.format(mode="no_grad"),
    INFERENCE: _BOTH.format(mode="inference_mode"),
    CUSTOM: (
        " This view was created inside a custom Function (or because an input was returned as-is) "
        "and the autograd logic to handle view+inplace would override the custom backward "
        "associated with the custom Function, leading to incorrect gradients. This behavior is "
        "forbidden. You can fix this by cloning the output of the custom Function."
    ),
}
_DIRECTLY = "is being modified inplace"
_INDIRECTLY = "its base or another view of its base has been modified inplace"


class Outdated:
    """In the place of a view's node, after a change that the view's history cannot follow.

    Whoever asks for the node, as every recorded operator does by `t._grad_fn or t`, gets the
    error; nothing else about the view has changed.
    """

    __slots__ = ("error", "origin")

    def __init__(self, error, origin):
        self.error = error
        self.origin = origin

    def __bool__(self):
        raise RuntimeError(self.error)

    def __getattr__(self, name):
        raise RuntimeError(self.error)


def shown(node):
    """The node of a tensor as programs see it; RuntimeError for a view that has become invalid."""
    kind = type(node)
    if kind is Nowhere:
        return None
    if kind is Outdated:
        raise RuntimeError(node.error)
    return node


def has_node(t):
    """Whether a node computed the tensor, whether or not its history may still be used."""
    node = t._grad_fn
    return bool(node.origin) if type(node) is Outdated else shown(node) is not None


def shown_name(node):
    """The name of the node of a tensor, as it is printed."""
    return "Invalid" if type(node) is Outdated else node.name()


def follow_leaf(base):
    """Let the views of a leaf require gradients if it does; theirs go nowhere, as in PyTorch."""
    for reference in base._counter[1:]:
        view = reference()
        if view is not None and view._view is base and shown(view._grad_fn) is None:
            view._requires_grad = base._requires_grad
            view._grad_fn = Nowhere(view.shape) if base._requires_grad else None


def error(view, indirect=False):
    """What is wrong with changing a marked view, or with its use after its base was changed."""
    mark, origin = view._mark, _origin(view)
    what = _INDIRECTLY if indirect else _DIRECTLY
    if origin and mark not in (NO_GRAD, INFERENCE):
        return f"{origin} and {what}.{_WHY[mark]}"
    made = f"{origin} of a view which was created in" if origin else "A view was created in"
    if mark == INFERENCE:
        return f"{made} inference mode and {what} in normal mode.{_WHY[mark]}"
    return f"{made} no_grad mode and {what} with grad mode enabled.{_WHY[mark]}"


def outdate(target):
    """Put the marked views over the memory of `target`, which was just changed, out of date."""
    counter = target._counter
    living = [reference for reference in counter[1:] if reference() is not None]
    for reference in living:
        view = reference()
        if view is not None and view._mark is not None and view._requires_grad:
            put_out_of_date(view)
    if 2 * len(living) < len(counter):
        counter[1:] = living


def put_out_of_date(view):
    """Make every use of the history of a marked view, whose base was changed, an error."""
    if type(view._grad_fn) is not Outdated:
        view._grad_fn = Outdated(error(view, indirect=True), _origin(view))
        view._requires_grad = True


def _origin(view):
    """Which output of which node a view is; nothing if it was not recorded."""
    node = view._grad_fn
    if type(node) is Outdated:
        return node.origin
    if not isinstance(node, Node) or type(node) is Nowhere:
        return ""
    name = node.name().removesuffix("0").removesuffix("Backward")
    return f"Output {view._output_nr} of {name} is a view"

"""The arguments that a transformation is about, and the checks that all transformations share."""

from __future__ import annotations

from ..tensor import Tensor
from ..utils.pytree import tree_flatten, tree_unflatten


class Chosen:
    """The arguments at `argnums`, as a flat list of leaves that can be replaced.

    argnums: an int, or a tuple of ints for several arguments. RuntimeError if one does not exist.
    """

    def __init__(self, argnums, args):
        self.args = args
        self.single = isinstance(argnums, int)
        self.places = _places(argnums, len(args))
        chosen = [args[place] for place in self.places]
        self.leaves, self.spec = tree_flatten(chosen[0] if self.single else tuple(chosen))

    def replaced(self, leaves):
        """All arguments, with these leaves in the chosen ones."""
        args = list(self.args)
        tree = self.tree(leaves)
        for place, value in zip(self.places, [tree] if self.single else tree, strict=True):
            args[place] = value
        return args

    def tree(self, leaves):
        """What is given for the chosen arguments, from a value for each of their leaves."""
        return tree_unflatten(leaves, self.spec)


def _places(argnums, count):
    if isinstance(argnums, int):
        return (_place(argnums, count),)
    if not isinstance(argnums, tuple) or not all(isinstance(i, int) for i in argnums):
        raise RuntimeError(f"argnums must be int or Tuple[int, ...], got: {type(argnums)}")
    if not argnums:
        raise RuntimeError("argnums must be non-empty")
    places = tuple(_place(i, count) for i in argnums)
    if len(set(places)) < len(places):
        raise RuntimeError(f"argnums elements must be unique, got {argnums}")
    return places


def _place(argnum, count):
    if not -count <= argnum < count:
        raise RuntimeError(f"Got argnum={argnum}, but only {count} positional inputs")
    return argnum % count


def split_aux(output, has_aux, name):
    """(output, aux) of a function that returns both; aux is None without `has_aux`."""
    if not has_aux:
        return output, None
    if not isinstance(output, tuple) or len(output) != 2:
        raise RuntimeError(
            f"{name}: output of function f should be a tuple: (output, aux) if has_aux is True"
        )
    return output


def output_leaves(output, name):
    """The leaves and the structure of what a function returned; RuntimeError unless tensors."""
    leaves, spec = tree_flatten(output)
    if not leaves or (len(leaves) == 1 and leaves[0] is None):
        raise RuntimeError(
            f"{name}: Expected f to be a function that has non-empty output (got output = {leaves})"
        )
    for leaf in leaves:
        if not isinstance(leaf, Tensor):
            raise RuntimeError(
                f"{name}: expected f(*primals) to return only tensors, got unsupported type "
                f"{type(leaf)}"
            )
    return leaves, spec

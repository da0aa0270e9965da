"""Transformations by forward mode: jvp, jacfwd; and linearize."""

from __future__ import annotations

import functools

from .. import random
from ..autograd.forward_ad import close_level, make_dual, open_level, tangent_of
from ..autograd.grad_mode import enable_grad
from ..autograd.gradients import grad as gradients_of
from ..factories import zeros_like
from ..tensor import Tensor
from ..utils.pytree import tree_flatten, tree_leaves, tree_unflatten
from .arguments import Chosen, output_leaves, split_aux
from .basis import one_hot
from .levels import ReverseLevel, normal, transformation


def _push(call, primals, tangents, has_aux, name):
    """(output leaves, their tangents or None, structure of the output, aux) of a function.

    call: the function of the leaves `primals`.
    """
    level = open_level()
    try:
        duals = [make_dual(normal(p), t) for p, t in zip(primals, tangents, strict=True)]
        output, aux = split_aux(call(duals), has_aux, name)
        outputs, spec = output_leaves(output, name)
        found = _take_tangents(level, outputs)
        _take_tangents(level, _aux_leaves(aux) if has_aux else [])
    finally:
        close_level()
    return outputs, found, spec, aux


def _take_tangents(level, tensors):
    """The tangents of tensors in the innermost level; they lose them, so that nobody holds them."""
    found = [tangent_of(t) for t in tensors]
    for tensor, tangent in zip(tensors, found, strict=True):
        if tangent is not None:
            tangents = tensor._extra.tangent
            tensor._extra.tangent = {k: t for k, t in tangents.items() if k != level} or None
    return found


def _aux_leaves(aux):
    leaves = tree_leaves(aux)
    for leaf in leaves:
        if not isinstance(leaf, Tensor):
            raise RuntimeError(f"Expected tensors, got unsupported type {type(leaf)}")
    return leaves


# --- jvp -----------------------------------------------------------------------------------------


@transformation
def jvp(func, primals, tangents, *, strict=False, has_aux=False):
    """(`func(*primals)`, the derivative of that along `tangents`).

    Parameters
    ----------
    func : callable
    primals, tangents : tuple
        The arguments, and a tangent for each of their tensors, of the same structure.
    strict : bool
        RuntimeError for an output that does not depend on the arguments, instead of zeros.
    has_aux : bool
        `func` returns (output, aux), and aux is a third result.
    """
    name = "jvp(f, primals, tangents)"
    leaves, spec, given = _checked(primals, tangents, name)
    outputs, found, output_spec, aux = _push(
        lambda duals: func(*tree_unflatten(duals, spec)), leaves, given, has_aux, name
    )
    if strict and any(tangent is None for tangent in found):
        raise RuntimeError(
            "jvp(f, primals, tangents, strict=True): The output of f is independent of the inputs. "
            "This is not allowed with strict=True."
        )
    pairs = zip(outputs, found, strict=True)
    moved = [zeros_like(o) if t is None else t for o, t in pairs]
    result = tree_unflatten(outputs, output_spec), tree_unflatten(moved, output_spec)
    return (*result, aux) if has_aux else result


def _checked(primals, tangents, name):
    """The leaves and the structure of the arguments, and the leaves of their tangents."""
    if not isinstance(primals, tuple):
        raise RuntimeError(
            f"{name}: Expected primals to be a tuple. E.g. it should be valid to call f(*primals)."
        )
    leaves, spec = tree_flatten(primals)
    given, given_spec = tree_flatten(tangents)
    if spec != given_spec:
        raise RuntimeError(
            f"{name}: Expected primals and tangents to have the same python structure. For "
            "example, if primals is a tuple of 3 tensors, tangents also must be. Got primals with "
            f"structure {spec} and tangents with structure {given_spec}"
        )
    if not leaves:
        raise RuntimeError(f"{name}: Expected primals to contain at least one Tensor.")
    for what, values in (("primals", leaves), ("tangents", given)):
        for value in values:
            if not isinstance(value, Tensor):
                raise RuntimeError(
                    f"{name}: Expected {what} to only contain Tensors, got {type(value)}"
                )
    return leaves, spec, given


# --- jacfwd --------------------------------------------------------------------------------------


def jacfwd(func, argnums=0, has_aux=False, *, randomness="error"):
    """A function that returns the Jacobian of `func`, column by column by forward mode.

    The result is that of `jacrev`. `func` is called once for each element of the arguments.

    randomness : str
        What happens if `func` draws random numbers: "error", RuntimeError; "same", the same
        numbers in each call; "different", new ones.
    """
    if randomness not in ("error", "different", "same"):
        raise RuntimeError(
            "Only allowed values for randomness are 'error', 'different', or 'same'. Got "
            f"{randomness}"
        )

    @functools.wraps(func)
    @transformation
    def wrapper(*args, **kwargs):
        chosen = Chosen(argnums, args)

        def call(duals):
            return func(*chosen.replaced(duals), **kwargs)

        blocks, spec, aux = _columns(call, chosen.leaves, has_aux, randomness)
        jacobian = tree_unflatten([chosen.tree(row) for row in blocks], spec)
        return (jacobian, aux) if has_aux else jacobian

    return wrapper


def columns(func, inputs):
    """blocks[i][j], the Jacobian of output i of `func` (a tuple) by input j."""
    return _columns(lambda duals: func(*duals), inputs, False, "different")[0]


def _columns(call, inputs, has_aux, randomness):
    """The Jacobians by each input, the structure of the output, and aux."""
    from .. import operators as ops

    name = "jvp(f, primals, tangents)"
    still = [zeros_like(_tensor(t)) for t in inputs]
    draws = _Draws(randomness)
    blocks = spec = aux = None
    for j, source in enumerate(inputs):
        moved = []
        # a source without elements has no columns, but its Jacobians have a shape
        for i in range(max(source.numel(), 1)):
            tangents = list(still)
            if source.numel():
                tangents[j] = one_hot(source, i)
            with draws:
                outputs, found, spec, aux = _push(call, inputs, tangents, has_aux, name)
            pairs = zip(outputs, found, strict=True)
            moved.append([zeros_like(o) if t is None else t for o, t in pairs])
        blocks = [[] for _ in outputs] if blocks is None else blocks
        for row, output, parts in zip(blocks, outputs, zip(*moved, strict=True), strict=True):
            shape = (*output.shape, *source.shape)
            if source.numel():
                row.append(ops.reshape(ops.stack(list(parts), -1), shape))
            else:
                row.append(output.detach().new_zeros(shape))
    if blocks is None:
        outputs, _, spec, aux = _push(call, inputs, still, has_aux, name)
        blocks = [[] for _ in outputs]
    return blocks, spec, aux


def _tensor(value):
    if not isinstance(value, Tensor):
        raise ValueError(f"Thing passed to transform API must be Tensor, got {type(value)}")
    return value


class _Draws:
    """Watches over the default generator while a function is called several times."""

    def __init__(self, randomness):
        self.randomness = randomness
        self.before = None

    def __enter__(self):
        generator = random.default_generator
        if self.randomness == "error" or self.before is None:
            self.before = generator.numpy.bit_generator.state
        elif self.randomness == "same":
            generator.numpy.bit_generator.state = self.before

    def __exit__(self, kind, *error):
        state = random.default_generator.numpy.bit_generator.state
        if kind is None and self.randomness == "error" and state != self.before:
            raise RuntimeError(
                "jacfwd: the function called a random operation, and would get other numbers for "
                "each column. Please either use the 'same' or 'different' randomness flags, or "
                "draw the numbers outside of the function."
            )


# --- linearize -----------------------------------------------------------------------------------


@transformation
def linearize(func, *primals):
    """(`func(*primals)`, a function that multiplies the Jacobian there by tangents).

    That function takes a tangent for each of `primals` and does not call `func` again. It runs
    through the recorded graph; for a single product `jvp` costs less.
    """
    level = ReverseLevel()
    leaves, spec = tree_flatten(primals)
    inputs = [level.take(leaf) for leaf in leaves]
    with enable_grad():
        output = func(*tree_unflatten(inputs, spec))
        outputs, output_spec = output_leaves(output, "linearize(f, *primals)")
        used = [o for o in outputs if o._requires_grad]
        # the gradients are linear in these, and the coefficients are the Jacobian
        dummies = [zeros_like(o, requires_grad=True) for o in used]
        gradients = [None] * len(inputs)
        if used:
            gradients = gradients_of(used, inputs, dummies, create_graph=True, allow_unused=True)
    level.leaves.update(dummies)

    @transformation
    def jvp_fn(*tangents):
        given = _matching(tangents, leaves, spec)
        pairs = [(g, t) for g, t in zip(gradients, given, strict=True) if g is not None]
        pairs = [(g, t) for g, t in pairs if g._requires_grad]
        found = [None] * len(dummies)
        if pairs:
            roots, weights = zip(*pairs, strict=True)
            create = level.wants_graph([*roots, *weights])
            found = gradients_of(roots, dummies, weights, True, create, allow_unused=True)
        moved = iter(found)
        result = [next(moved) if o._requires_grad else None for o in outputs]
        filled = [zeros_like(o) if t is None else t for o, t in zip(outputs, result, strict=True)]
        return tree_unflatten(level.release(filled), output_spec)

    return level.release(output), jvp_fn


def _matching(tangents, leaves, spec):
    given, given_spec = tree_flatten(tangents)
    if given_spec != spec:
        raise RuntimeError(
            f"Expected the tangents {given_spec} to have the same argspec as the primals {spec}"
        )
    for index, (tangent, leaf) in enumerate(zip(given, leaves, strict=True)):
        if tangent.shape != leaf.shape:
            raise RuntimeError(
                f"tangent:{index} with shape {tangent.shape} in flattened pytree doesn't match the "
                f"shape {leaf.shape} of the corresponding primal."
            )
    return given

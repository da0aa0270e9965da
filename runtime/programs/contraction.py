"""Sums of products over indices, as Einstein wrote them.

An index is a number: 0 to 25 for A to Z, 26 to 51 for a to z, and from 52 on for the dimensions
that an ellipsis stands for, counted so that the last ones meet.
"""

from __future__ import annotations

import math

from ..namespace import ops
from ..tensor import Tensor

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
ELLIPSIS = -1


def einsum(equation, operands):
    """The product of operands that an equation, or lists of indices beside them, describes."""
    if isinstance(equation, str):
        operands = list(operands)
        inputs, output = _parsed(equation)
    else:
        operands, inputs, output = _from_lists([equation, *operands])
    _check(operands, inputs)
    missing = [
        tensor.ndim - _named(labels) for tensor, labels in zip(operands, inputs, strict=True)
    ]
    dots = max(
        (n for n, labels in zip(missing, inputs, strict=True) if ELLIPSIS in labels), default=0
    )
    given = [_numbered(labels, n, dots) for labels, n in zip(inputs, missing, strict=True)]
    wanted = _output(given, output, dots)
    pairs = [_without_repeats(*item) for item in enumerate(zip(operands, given, strict=True))]
    _check_sizes(pairs)
    while len(pairs) > 1:
        first, second = _next(pairs, wanted)
        right, left = pairs.pop(second), pairs.pop(first)
        kept = set(wanted).union(*(labels for _, labels in pairs))
        pairs.append(_product(left, right, kept))
    return _arranged(*pairs[0], wanted)


# --- reading -------------------------------------------------------------------------------------


def _parsed(equation):
    """The labels of each operand, and those of the result or None."""
    left, arrow, right = equation.partition("->")
    inputs = [_labels(part, f"operand {number}") for number, part in enumerate(left.split(","))]
    return inputs, _labels(right, "output") if arrow else None


def _labels(text, where):
    labels, at = [], 0
    while at < len(text):
        character = text[at]
        if character == ".":
            if text[at : at + 3] != "...":
                raise RuntimeError(
                    f"einsum(): found '.' for {where} that is not part of any ellipsis"
                )
            if ELLIPSIS in labels:
                raise RuntimeError(
                    f"einsum(): found '.' for {where} for which an ellipsis was already found"
                )
            labels.append(ELLIPSIS)
            at += 3
            continue
        if character != " ":
            if character not in LETTERS:
                raise RuntimeError(
                    f"einsum(): invalid subscript given at index {at} of {where}: {character!r}; "
                    "subscripts must be in [a-zA-Z]"
                )
            labels.append(LETTERS.index(character))
        at += 1
    return labels


def _from_lists(arguments):
    """Operands, each followed by a list of numbers or ..., and maybe one list for the result."""
    pairs, output = arguments, None
    if len(arguments) % 2:
        *pairs, output = arguments
        output = _numbers(output)
    operands = list(pairs[::2])
    return operands, [_numbers(given) for given in pairs[1::2]], output


def _numbers(given):
    if isinstance(given, Tensor) or not isinstance(given, list | tuple):
        raise TypeError(
            f"einsum(): operands are followed by lists of subscripts, not by {type(given).__name__}"
        )
    for number in given:
        if number is not ... and not (isinstance(number, int) and 0 <= number < len(LETTERS)):
            raise ValueError(f"einsum(): not in range [0, {len(LETTERS)}): {number!r}")
    return [ELLIPSIS if number is ... else number for number in given]


def _named(labels):
    return sum(label != ELLIPSIS for label in labels)


def _check(operands, inputs):
    if not operands:
        raise ValueError("einsum(): at least one operand must be provided")
    if len(inputs) != len(operands):
        much = "fewer" if len(operands) < len(inputs) else "more"
        raise RuntimeError(
            f"einsum(): {much} operands were provided than specified in the equation"
        )
    for number, (tensor, labels) in enumerate(zip(operands, inputs, strict=True)):
        if not isinstance(tensor, Tensor):
            raise TypeError(
                f"einsum(): operand {number} must be Tensor, not {type(tensor).__name__}"
            )
        named, ndim, dotted = _named(labels), tensor.ndim, ELLIPSIS in labels
        if named > ndim or (named < ndim and not dotted):
            problem = "is more than" if dotted else "does not match"
            end = "" if dotted else " and no ellipsis was given"
            raise RuntimeError(
                f"einsum(): the number of subscripts in the equation ({named}) {problem} the "
                f"number of dimensions ({ndim}) for operand {number}{end}"
            )


def _numbered(labels, missing, dots):
    """Labels with numbers of their own for the dimensions of an ellipsis."""
    found = []
    for label in labels:
        if label == ELLIPSIS:
            found += range(len(LETTERS) + dots - missing, len(LETTERS) + dots)
        else:
            found.append(label)
    return found


def _output(given, output, dots):
    """The labels of the result; by default those of ellipses, then those that occur once."""
    every = [label for labels in given for label in labels]
    if output is None:
        once = sorted(label for label in set(every) if every.count(label) == 1)
        named = [label for label in once if label < len(LETTERS)]
        return [*range(len(LETTERS), len(LETTERS) + dots), *named]
    wanted = _numbered(output, dots, dots)
    for label in wanted:
        if wanted.count(label) > 1:
            raise RuntimeError(
                f"einsum(): output subscript {_name(label)} appears more than once in the output"
            )
        if label not in every:
            raise RuntimeError(
                f"einsum(): output subscript {_name(label)} does not appear in the equation for "
                "any input operand"
            )
    return wanted


def _name(label):
    return LETTERS[label] if label < len(LETTERS) else "..."


def _without_repeats(number, operand):
    """An operand with the diagonals that its repeated labels mean."""
    tensor, labels = operand
    labels = list(labels)
    for label in dict.fromkeys(labels):
        while labels.count(label) > 1:
            first = labels.index(label)
            second = labels.index(label, first + 1)
            sizes = tensor.shape[first], tensor.shape[second]
            if sizes[0] != sizes[1]:
                raise RuntimeError(
                    f"einsum(): subscript {_name(label)} is repeated for operand {number} but the "
                    f"sizes don't match, {sizes[1]} != {sizes[0]}"
                )
            tensor = ops.matrix_diagonal(tensor, 0, first, second)
            del labels[second], labels[first]
            labels.append(label)
    return tensor, labels


def _check_sizes(pairs):
    sizes = {}
    for number, (tensor, labels) in enumerate(pairs):
        for label, size in zip(labels, tensor.shape, strict=True):
            known = sizes.get(label, 1)
            if size != 1 and known not in (1, size):
                raise RuntimeError(
                    f"einsum(): subscript {_name(label)} has size {size} for operand {number} "
                    f"which does not broadcast with previously seen size {known}"
                )
            sizes[label] = size if known == 1 else known


# --- contraction ---------------------------------------------------------------------------------


def _next(pairs, wanted):
    """The two operands whose product is smallest, and costs least among those."""
    if len(pairs) == 2:
        return 0, 1
    sizes = {}
    for tensor, labels in pairs:
        for label, size in zip(labels, tensor.shape, strict=True):
            sizes[label] = max(size, sizes.get(label, 1))
    best = None
    for first in range(len(pairs)):
        for second in range(first + 1, len(pairs)):
            others = [p[1] for n, p in enumerate(pairs) if n not in (first, second)]
            kept = set(wanted).union(*others)
            both = {*pairs[first][1], *pairs[second][1]}
            cost = math.prod(sizes[label] for label in both)
            result = math.prod(sizes[label] for label in both & kept)
            own = pairs[first][0].numel() + pairs[second][0].numel()
            if best is None or (result - own, cost) < best[0]:
                best = (result - own, cost), (first, second)
    return best[1]


def _summed(tensor, labels, dropped):
    """The sum over some of an operand's labels."""
    dims = [dim for dim, label in enumerate(labels) if label in dropped]
    if not dims:
        return tensor, labels
    return ops.sum(tensor, dims), [label for label in labels if label not in dropped]


def _squeezed(tensor, labels, dropped):
    """An operand without some labels of size 1."""
    dims = [dim for dim, label in enumerate(labels) if label in dropped]
    if not dims:
        return tensor, labels
    return ops.squeeze(tensor, dims), [label for label in labels if label not in dropped]


def _product(left, right, kept):
    """The product of two operands, summed over the labels that nobody needs after it."""
    sizes = [dict(zip(labels, tensor.shape, strict=True)) for tensor, labels in (left, right)]
    shared = [label for label in left[1] if label in sizes[1]]
    # a dimension of size 1 beside a larger one is only repeated
    left = _squeezed(*left, {n for n in shared if sizes[0][n] == 1 != sizes[1][n]})
    right = _squeezed(*right, {n for n in shared if sizes[1][n] == 1 != sizes[0][n]})
    left = _summed(*left, {n for n in left[1] if n not in kept and n not in right[1]})
    right = _summed(*right, {n for n in right[1] if n not in kept and n not in left[1]})
    batch = [n for n in left[1] if n in right[1] and n in kept]
    inner = [n for n in left[1] if n in right[1] and n not in kept]
    rows = [n for n in left[1] if n not in right[1]]
    columns = [n for n in right[1] if n not in left[1]]
    sizes = {**sizes[0], **{n: s for n, s in sizes[1].items() if n in right[1]}}
    labels = [*batch, *rows, *columns]
    first = _permuted(*left, [*batch, *rows, *inner])
    second = _permuted(*right, [*batch, *inner, *columns])
    counts = [math.prod(sizes[n] for n in group) for group in (batch, rows, inner, columns)]
    lengths = [sizes[n] for n in labels]
    if not inner and not batch and first.dtype is second.dtype and first.dtype.is_floating_point:
        vectors = _shaped(first, [counts[1]]), _shaped(second, [counts[3]])
        return _shaped(ops.outer_product(*vectors), lengths), labels
    if not inner:
        shape = [*(sizes[n] for n in (*batch, *rows)), *(1 for _ in columns)]
        other = [*(sizes[n] for n in batch), *(1 for _ in rows), *(sizes[n] for n in columns)]
        return _shaped(first, shape) * _shaped(second, other), labels
    if batch and counts[1] == 1 == counts[3]:
        both = _shaped(first, [counts[0], counts[2]]) * _shaped(second, [counts[0], counts[2]])
        return _shaped(ops.sum(both, [1]), lengths), labels
    heads = [counts[0]] if batch else []
    first = _shaped(first, [*heads, counts[1], counts[2]])
    second = _shaped(second, [*heads, counts[2], counts[3]])
    return _shaped(ops.matmul(first, second), lengths), labels


def _shaped(tensor, shape):
    return tensor if list(tensor.shape) == shape else ops.reshape(tensor, shape)


def _permuted(tensor, labels, order):
    if labels == order:
        return tensor
    return ops.permute(tensor, [labels.index(label) for label in order])


def _arranged(tensor, labels, wanted):
    """The only operand left, with the labels of the result in their order."""
    tensor, labels = _summed(tensor, labels, set(labels) - set(wanted))
    return _permuted(tensor, labels, wanted)

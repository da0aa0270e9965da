"""What losses and normalisations ask about their arguments, with the errors and warnings of these.

The same rules as in `queries`, which offers these functions to formulas.
"""

from __future__ import annotations

import math
import warnings

import numpy as np

from . import dtypes
from .geometry import Size, broadcast_shapes, normalize_dim
from .kernels.classes import class_shares_of
from .kernels.losses import wrong_class
from .modes import modes
from .tensor import from_array, from_flat

# --- losses --------------------------------------------------------------------------------------

REDUCTIONS = ("none", "mean", "sum")


def same_shape(target, input):
    """The target, with a warning where it only broadcasts against the input."""
    if target.shape != input.shape:
        warnings.warn(
            f"Using a target size ({target.shape}) that is different to the input size "
            f"({input.shape}). This will likely lead to incorrect results due to broadcasting. "
            "Please ensure they have the same size.",
            stacklevel=3,
        )
    return target


def equal_shape(target, input):
    """The target, which must have the shape of the input."""
    if target.shape != input.shape:
        raise ValueError(
            f"Target size ({target.shape}) must be the same as input size ({input.shape})"
        )
    return target


def loss_weight(weight, input):
    """The weight of each element of the input."""
    if weight.shape != input.shape:
        raise ValueError("Weights and input must have the same size.")
    return weight


def loss_parameter(operator, wrong, argument):
    """An error for a threshold that is out of range."""
    raise RuntimeError(f"{operator} does not support {wrong} values for {argument}.")


def probabilities(target, input):
    """The target, if it and the input hold probabilities in one shape."""
    if target.shape != input.shape:
        raise ValueError(
            f"Using a target size ({target.shape}) that is different to the input size "
            f"({input.shape}) is deprecated. Please ensure they have the same size."
        )
    if target.dtype is not input.dtype:
        raise RuntimeError(f"Found dtype {target.dtype} but expected {input.dtype}")
    for name, tensor in (("input", input), ("target", target)):
        values = tensor._nd()
        if values.size and not (values.min() >= 0 and values.max() <= 1):
            raise RuntimeError(f"all elements of {name} should be between 0 and 1")
    return target


def probability_weight(weight):
    return constant(weight, "weight", "binary_cross_entropy")


def logits_target(target, input, weight, pos_weight):
    """The target, if the input and the weights broadcast to its shape."""
    others = [("input", input), ("weight", weight), ("pos_weight", pos_weight)]
    for name, tensor in others:
        if tensor is not None:
            shape = broadcast_shapes(tensor.shape, target.shape)
            whole = input if pos_weight is not None and shape == target.shape else target
            if shape != whole.shape:
                raise RuntimeError(
                    f"binary_cross_entropy_with_logits: {name} is {tuple(tensor.shape)}; output "
                    f"with shape {list(whole.shape)} doesn't match the broadcast shape "
                    f"{list(shape)}"
                )
    return target


def logits_weight(weight, argument):
    return constant(weight, argument, "binary_cross_entropy_with_logits")


def constant(tensor, argument, operator):
    """The tensor, which must not require grad: the operator has no gradient for it."""
    if tensor._requires_grad and modes.grad:
        raise RuntimeError(
            f"The function '{operator}' is not differentiable with respect to argument "
            f"'{argument}'. This input cannot have requires_grad True."
        )
    return tensor


def reduction_number(reduction):
    """The number that PyTorch has for a reduction."""
    if reduction not in REDUCTIONS:
        raise ValueError(
            f"{reduction!r} is not a valid value for reduction; it must be mean, sum or none"
        )
    return REDUCTIONS.index(reduction)


def reduction_name(number):
    """The reduction that a number stands for; unknown ones reduce nothing, as in PyTorch."""
    return REDUCTIONS[number] if number in (1, 2) else "none"


def divergence_reduction(reduction):
    """A reduction of kl_div other than over the batch."""
    if reduction == "mean":
        warnings.warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support size; "
            "'batchmean' divides only by the batch size, and aligns with the KL div math "
            "definition.",
            stacklevel=3,
        )
    return "sum" if reduction == "batchmean" else reduction


def class_target(target, input, weight):
    """Class indices, checked against the shape of the input and the number of weights."""
    if target.dtype not in (dtypes.int64, dtypes.uint8):
        raise RuntimeError(f"expected target dtype to be Long or Byte, but got {target.dtype}")
    if input.ndim == 0:
        raise ValueError("nll_loss: input must have at least one dimension")
    if input.ndim == 1:
        if target.ndim:
            raise ValueError(
                f"For 1D input, 1D target must have size 1, but got target size: {target.numel()}"
            )
    elif target.ndim == 0 or target.shape[0] != input.shape[0]:
        size = target.shape[0] if target.ndim else 0
        raise ValueError(
            f"Expected input batch_size ({input.shape[0]}) to match target batch_size ({size})."
        )
    elif target.shape[1:] != input.shape[2:]:
        wanted = [input.shape[0], *input.shape[2:]]
        raise RuntimeError(f"Expected target size {wanted}, got {list(target.shape)}")
    classes = input.shape[0 if input.ndim == 1 else 1]
    if weight is not None and weight.shape != (classes,):
        raise RuntimeError(
            f"weight tensor should be defined either for all {classes} classes or no classes but "
            f"got weight tensor of shape: {list(weight.shape)}"
        )
    return target


def class_index(target, input, ignore_index):
    """The same as int64, one for each row of a matrix; IndexError for those that are no class."""
    target = class_target(target, input, None)
    flat = target._dense()
    if wrong_class(flat, ignore_index, input.shape[1]) >= 0:
        wanted_classes(target, input, ignore_index)
    if target.dtype is not dtypes.int64:
        return from_array(flat.astype(np.int64))
    return target


def wanted_classes(target, input, ignore_index):
    """Which targets count; IndexError for those that are no class."""
    values = target._nd()
    wanted = values != ignore_index
    classes = input.shape[0 if input.ndim == 1 else 1]
    wrong = wanted & ((values < 0) | (values >= classes))
    if wrong.any():
        raise IndexError(f"Target {values[wrong].flat[0]} is out of bounds.")
    return from_array(np.asarray(wanted))


def class_terms(target, input, weight, ignore_index, reduction):
    """(class, share) of each target: what its loss counts for; the class is -1 if not at all.

    Shares are weights, for a mean those over the mean weight of all. IndexError for what is no
    class.
    """
    target = class_target(target, input, weight)
    classes = input.shape[0 if input.ndim == 1 else 1]
    kind = input.dtype.numpy
    weights = np.empty(0, kind) if weight is None else weight._dense().astype(kind, copy=False)
    found = class_shares_of(
        target._dense(), weights, classes, int(ignore_index), reduction == "mean", kind
    )
    return tuple(from_flat(a, target.shape, dtypes.from_numpy_dtype(a.dtype)) for a in found)


def smoothing(value):
    """A share of label smoothing."""
    if value > 1:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {value}")
    return value


def class_shares(target):
    """The target, which has the shape of the input, so that it must hold probabilities."""
    if not target.dtype.is_floating_point:
        raise RuntimeError(
            f"Expected floating point type for target with class probabilities, got {target.dtype}"
        )
    return target


def class_share(input, smoothing):
    """What label smoothing gives to each class of `input`: an equal share."""
    classes = input.shape[0 if input.ndim == 1 else 1]
    return smoothing / classes if classes else float("nan")


def fractions(tensor):
    """The tensor, if it is floating."""
    if not tensor.dtype.is_floating_point:
        raise RuntimeError("kl_div: Integral inputs not supported.")
    return tensor


# --- normalisation -------------------------------------------------------------------------------


def batch(input, training, eps):
    """The input of batch_norm, if it has enough elements for statistics."""
    shape = input.shape
    if training:
        if math.prod([*shape[:1], *shape[2:]]) == 1:
            raise ValueError(
                f"Expected more than 1 value per channel when training, got input size {shape}"
            )
        if eps <= 0:
            raise ValueError(f"batch_norm eps must be positive during training, but got {eps}")
    if eps < 0:
        raise ValueError(f"batch_norm eps must be non-negative, but got {eps}")
    return input


def batch_statistics(input, weight, bias, running_mean, running_var, training):
    """Whether batch_norm uses the statistics of its input; errors for what does not fit it."""
    if not input.dtype.is_floating_point:
        raise NotImplementedError(f"\"batch_norm\" not implemented for '{input.dtype}'")
    channels = input.shape[normalize_dim(1, input.ndim)] if training or input.ndim > 1 else 0
    if training and (running_mean is None) != (running_var is None):
        raise ValueError("running_mean and running_var must either both be None or neither be None")
    given = {
        "running_mean": running_mean,
        "running_var": running_var,
        "weight": weight,
        "bias": bias,
    }
    for name, tensor in given.items():
        if tensor is None:
            if name.startswith("running") and not training:
                raise RuntimeError(f"{name} must be defined in evaluation mode")
            continue
        if tensor.numel() != channels:
            raise RuntimeError(f"{name} should contain {channels} elements not {tensor.numel()}")
        if tensor.dtype is not input.dtype and input.numel():
            raise RuntimeError(
                f"mixed dtype (CPU): expect {name} to have scalar type of {input.dtype}"
            )
        if name.startswith("running"):
            constant(tensor, name, "batch_norm")
    return training


def other_dims(tensor, dim):
    """All dimensions but one."""
    dim = normalize_dim(dim, tensor.ndim)
    return [d for d in range(tensor.ndim) if d != dim]


def tracked(parts, input, running_mean, running_var, momentum):
    """What a batch was normalized to; the running statistics move towards those of the batch."""
    normal, means, variances = parts
    if running_mean is not None and input.numel():
        count = input.numel() // max(input.shape[1], 1)
        unbiased = variances._nd() * (count / (count - 1) if count > 1 else float("nan"))
        for running, new in ((running_mean, means._nd()), (running_var, unbiased)):
            if modes.before_write is not None:
                modes.before_write(running)
            memory = running._nd()
            kind = memory.dtype.type
            memory[...] = kind(1 - momentum) * memory + kind(momentum) * new.reshape(memory.shape)
    return normal


def channel_shape(tensor):
    """How a vector of channels broadcasts: all ones but for dimension 1, or 0 of a vector."""
    dim = min(1, tensor.ndim - 1)
    return Size(-1 if d == dim else 1 for d in range(tensor.ndim))

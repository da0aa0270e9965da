"""Calling a module with other parameters than its own."""

from __future__ import annotations

import contextlib

from ..tensor import Tensor

_KINDS = ("_parameters", "_buffers")


def functional_call(
    module, parameter_and_buffer_dicts, args=None, kwargs=None, *, tie_weights=True, strict=False
):
    """Call a module with these tensors in place of its parameters and buffers.

    Parameters
    ----------
    module : Module
    parameter_and_buffer_dicts : dict, or list or tuple of dicts
        Path -> tensor, as `named_parameters` and `named_buffers` give the paths. What is missing
        is the module's own. A buffer that the module replaces is replaced in the dict.
    args, kwargs
        The arguments; a single one need not be in a tuple.
    tie_weights : bool
        A tensor for one of several paths of the same parameter counts for all of them.
    strict : bool
        RuntimeError for paths that are missing or unknown.
    """
    tensors = _one_dict(parameter_and_buffer_dicts)
    own = _own_tensors(module)
    if strict:
        _check_keys(module, tensors, own)
    used = _with_tied(tensors, own) if tie_weights else dict(tensors)
    if args is None:
        args = ()
    elif not isinstance(args, tuple):
        args = (args,)
    with _replaced(module, used, tensors):
        return module(*args, **(kwargs or {}))


def _one_dict(given):
    if isinstance(given, dict):
        return given
    if not isinstance(given, list | tuple):
        raise ValueError(
            "Expected parameter_and_buffer_dicts to be a dict, or a list/tuple of dicts, but got "
            f"{type(given)}"
        )
    if not all(isinstance(part, dict) for part in given):
        raise ValueError("Expected all elements of parameter_and_buffer_dicts to be dictionaries")
    keys = [key for part in given for key in part]
    repeated = [key for key in dict.fromkeys(keys) if keys.count(key) > 1]
    if repeated:
        raise ValueError(
            f"{repeated} appeared in multiple dictionaries; behavior of functional call is "
            "ambiguous"
        )
    return {key: value for part in given for key, value in part.items()}


def _own_tensors(module):
    """Path -> tensor of the module's own, tied ones under each of their paths."""
    return {
        **dict(module.named_parameters(remove_duplicate=False)),
        **dict(module.named_buffers(remove_duplicate=False)),
    }


def _check_keys(module, tensors, own):
    problems = []
    unexpected = [repr(key) for key in tensors if key not in own]
    missing = [repr(key) for key in own if key not in tensors]
    if unexpected:
        problems.append(f"Unexpected key(s): {', '.join(unexpected)}.")
    if missing:
        problems.append(f"Missing key(s): {', '.join(missing)}.")
    if problems:
        raise RuntimeError(
            f"Error(s) in reparametrizing for {module._get_name()}:\n\t" + "\n\t".join(problems)
        )


def _with_tied(tensors, own):
    """`tensors`, with those for a path of a tied tensor under its other paths, too."""
    groups = {}
    for path, tensor in own.items():
        groups.setdefault(id(tensor), []).append(path)
    used = dict(tensors)
    for paths in groups.values():
        given = [path for path in paths if path in tensors]
        if len({id(tensors[path]) for path in given}) > 1:
            raise ValueError(
                f"functional_call got multiple values for keys {sorted(given)}, which are tied. "
                "Consider using tie_weights=False"
            )
        if given:
            used.update(dict.fromkeys(paths, tensors[given[0]]))
    return used


@contextlib.contextmanager
def _replaced(module, used, given):
    """The module with other tensors; afterwards its own, and in `given` what it replaced."""
    places = [_place(module, path, value) for path, value in used.items()]
    before = []
    try:
        for (values, name), tensor in zip(places, used.values(), strict=True):
            before.append((values, name, values.get(name, _NOTHING)))
            values[name] = tensor
        yield
    finally:
        for path, (values, name, old) in zip(used, before, strict=False):
            if path in given:
                given[path] = values.get(name, given[path])
            if old is _NOTHING:
                values.pop(name, None)
            else:
                values[name] = old


_NOTHING = object()


def _place(module, path, value):
    """The dictionary that holds what a path leads to, and the key in it."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{value} is not an instance of rederive.Tensor")
    owner_path, _, name = path.rpartition(".")
    owner = module.get_submodule(owner_path)
    for kind in _KINDS:
        values = getattr(owner, kind)
        if name in values:
            return values, name
    # an attribute for the length of the call
    return vars(owner), name

"""The state of a module as a dictionary of tensors, and back."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from collections.abc import Mapping

from ..autograd.grad_mode import no_grad
from ..graph import RemovableHandle
from ..tensor import Tensor
from .parameter import Parameter
from .snapshot import Snapshot

_EXTRA_STATE = "_extra_state"


class _IncompatibleKeys(namedtuple("IncompatibleKeys", ["missing_keys", "unexpected_keys"])):
    """What `load_state_dict` returns: the keys that did not fit."""

    __slots__ = ()

    def __repr__(self):
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return (
            f"_IncompatibleKeys(missing_keys={self.missing_keys}, "
            f"unexpected_keys={self.unexpected_keys})"
        )

    __str__ = __repr__


class ModuleState:
    """`state_dict`, `load_state_dict` and their hooks."""

    _version = 1

    def __init__(self):
        for name in ("state_dict_before", "state_dict_after", "load_before", "load_after"):
            self.__dict__[f"_{name}"] = OrderedDict()

    # --- out ---------------------------------------------------------------------------------

    def state_dict(self, *, destination=None, prefix="", keep_vars=False):
        """The parameters and persistent buffers of this module and all below, by path.

        They share memory with the module's, without graph; with `keep_vars` they are the
        module's own.
        """
        if destination is None:
            destination = OrderedDict()
            destination._metadata = OrderedDict()
        metadata = {"version": self._version}
        if hasattr(destination, "_metadata"):
            destination._metadata[prefix[:-1]] = metadata
        for hook in list(self._state_dict_before.values()):
            hook(self, prefix, keep_vars)
        self._save_to_state_dict(destination, prefix, keep_vars)
        for name, module in self._modules.items():
            if module is not None:
                module.state_dict(
                    destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars
                )
        for hook in list(self._state_dict_after.values()):
            if hook(self, destination, prefix, metadata) is not None:
                raise RuntimeError("state_dict post-hook must return None")
        return destination

    def _save_to_state_dict(self, destination, prefix, keep_vars):
        """Put what this module itself owns into `destination`."""
        for name, value in _own_state(self):
            destination[prefix + name] = value if keep_vars else value.detach()
        if _has(self, "get_extra_state"):
            destination[prefix + _EXTRA_STATE] = self.get_extra_state()

    def get_extra_state(self):
        """What else belongs to the state; define it together with `set_extra_state`."""
        raise RuntimeError(
            "Reached a code path in Module.get_extra_state() that should never be called."
        )

    def set_extra_state(self, state):
        """Take back what `get_extra_state` gave."""
        raise RuntimeError(
            "Reached a code path in Module.set_extra_state() that should never be called."
        )

    # --- in ----------------------------------------------------------------------------------

    def load_state_dict(self, state_dict, strict=True, assign=False):
        """Copy a state into the parameters and buffers of this module and all below.

        If it does not fit, or a hook raises, the parameters and buffers are left as they were;
        PyTorch would have copied what fits.

        Parameters
        ----------
        strict : bool
            RuntimeError for keys that are missing or unexpected; wrong shapes always are errors.
        assign : bool
            Take the tensors of the state themselves instead of copying their values.

        Returns
        -------
        NamedTuple with missing_keys and unexpected_keys
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
        missing, unexpected, errors = [], [], []
        incompatible = _IncompatibleKeys(missing, unexpected)
        before = Snapshot(self)
        try:
            self._load_all(state_dict, assign, incompatible, errors)
            if strict and unexpected:
                keys = ", ".join(f'"{key}"' for key in unexpected)
                errors.insert(0, f"Unexpected key(s) in state_dict: {keys}. ")
            if strict and missing:
                keys = ", ".join(f'"{key}"' for key in missing)
                errors.insert(0, f"Missing key(s) in state_dict: {keys}. ")
            if errors:
                raise RuntimeError(
                    f"Error(s) in loading state_dict for {self._get_name()}:\n\t"
                    + "\n\t".join(errors)
                )
        except BaseException:
            before.restore()
            raise
        return incompatible

    def _load_all(self, state_dict, assign, incompatible, errors):
        """Load what this module and all below it own, and call the hooks."""
        metadata = getattr(state_dict, "_metadata", None)
        state = OrderedDict(state_dict)

        def load(module, prefix):
            own = {} if metadata is None else metadata.get(prefix[:-1], {})
            if assign:
                own = {**own, "assign_to_params_buffers": True}
            module._load_from_state_dict(state, prefix, own, True, *incompatible, errors)
            for name, child in module._modules.items():
                if child is not None:
                    load(child, f"{prefix}{name}.")
            for hook in list(module._load_after.values()):
                if hook(module, incompatible) is not None:
                    raise AssertionError("load_state_dict post-hook must return None")

        load(self, "")

    def _load_from_state_dict(
        self, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
    ):
        """Load what this module itself owns, and note which keys did not fit."""
        for hook in list(self._load_before.values()):
            hook(
                self,
                state_dict,
                prefix,
                local_metadata,
                strict,
                missing_keys,
                unexpected_keys,
                error_msgs,
            )
        own = dict(_own_state(self))
        assign = local_metadata.get("assign_to_params_buffers", False)
        for name, value in own.items():
            key = prefix + name
            if key in state_dict:
                problem = _load(self, name, key, value, state_dict[key], assign)
                if problem:
                    error_msgs.append(problem)
            elif strict:
                missing_keys.append(key)
        extra = prefix + _EXTRA_STATE
        if _has(self, "set_extra_state"):
            if extra in state_dict:
                self.set_extra_state(state_dict[extra])
            elif strict:
                missing_keys.append(extra)
        elif strict and extra in state_dict:
            unexpected_keys.append(extra)
        if strict:
            unexpected_keys += _unknown(self, state_dict, prefix, own, extra)

    # --- hooks -------------------------------------------------------------------------------

    def register_state_dict_pre_hook(self, hook):
        """Call `hook(module, prefix, keep_vars)` before the state is collected."""
        return RemovableHandle(self._state_dict_before, hook)

    def register_state_dict_post_hook(self, hook):
        """Call `hook(module, state_dict, prefix, local_metadata)` after that."""
        return RemovableHandle(self._state_dict_after, hook)

    def register_load_state_dict_pre_hook(self, hook):
        """Call `hook(module, state_dict, prefix, local_metadata, strict, missing_keys,
        unexpected_keys, error_msgs)` before a state is loaded.
        """
        return RemovableHandle(self._load_before, hook)

    def register_load_state_dict_post_hook(self, hook):
        """Call `hook(module, incompatible_keys)` after a state was loaded; it may change those."""
        return RemovableHandle(self._load_after, hook)


def _has(module, name):
    """Whether the module's class has its own `get_extra_state` or `set_extra_state`."""
    return getattr(type(module), name) is not getattr(ModuleState, name)


def _own_state(module):
    """(name, tensor) of the parameters and persistent buffers that a module itself owns."""
    for name, value in module._parameters.items():
        if value is not None:
            yield name, value
    for name, value in module._buffers.items():
        if value is not None and name not in module._non_persistent_buffers_set:
            yield name, value


def _load(module, name, key, value, given, assign):
    """Load one tensor; what is wrong with it as a text, or None."""
    if not isinstance(given, Tensor):
        return (
            f'While copying the parameter named "{key}", expected rederive.Tensor or Tensor-like '
            f"object from checkpoint but received {type(given)}"
        )
    if given.shape != value.shape:
        return (
            f"size mismatch for {key}: copying a param with shape {given.shape} from checkpoint, "
            f"the shape in current model is {value.shape}."
        )
    try:
        with no_grad():
            if not assign:
                value.copy_(given)
            elif isinstance(value, Parameter) and not isinstance(given, Parameter):
                setattr(module, name, Parameter(given, requires_grad=value.requires_grad))
            else:
                setattr(module, name, given)
    except Exception as error:
        return (
            f'While copying the parameter named "{key}", whose dimensions in the model are '
            f"{value.shape} and whose dimensions in the checkpoint are {given.shape}, an exception "
            f"occurred : {error.args}."
        )
    return None


def _unknown(module, state_dict, prefix, own, extra):
    """The keys below `prefix` that neither this module nor a submodule has."""
    found = []
    for key in state_dict:
        if key.startswith(prefix) and key != extra:
            first, *rest = key[len(prefix) :].split(".", 1)
            if first not in module._modules if rest else first not in own:
                found.append(key)
    return found

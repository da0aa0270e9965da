"""Walks over a module and everything below it: names, modes, conversions."""

from __future__ import annotations

from ..device import device as device_type
from ..dtypes import dtype as dtype_type
from ..dtypes import float32, float64
from ..tensor import Tensor


class ModuleTraversal:
    """What a module does with all its parameters, buffers and submodules."""

    # --- names -------------------------------------------------------------------------------

    def named_modules(self, memo=None, prefix="", remove_duplicate=True):
        """(path, module) of this module and all below it, each module once."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                path = f"{prefix}.{name}" if prefix else name
                yield from module.named_modules(memo, path, remove_duplicate)

    def modules(self):
        """This module and all below it, each once."""
        for _, module in self.named_modules():
            yield module

    def named_children(self):
        """(name, module) of the submodules, each module once."""
        seen = set()
        for name, module in self._modules.items():
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def children(self):
        """The submodules, each once."""
        for _, module in self.named_children():
            yield module

    def _named_members(self, kind, prefix, recurse, remove_duplicate):
        modules = [(prefix, self)]
        if recurse:
            modules = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate)
        seen = set()
        for path, module in modules:
            for name, value in getattr(module, kind).items():
                if value is None or value in seen:
                    continue
                if remove_duplicate:
                    seen.add(value)
                yield f"{path}.{name}" if path else name, value

    def named_parameters(self, prefix="", recurse=True, remove_duplicate=True):
        """(path, parameter) of this module and, with `recurse`, of all below it."""
        return self._named_members("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse=True):
        """The parameters, each once."""
        for _, parameter in self.named_parameters(recurse=recurse):
            yield parameter

    def named_buffers(self, prefix="", recurse=True, remove_duplicate=True):
        """(path, buffer) of this module and, with `recurse`, of all below it."""
        return self._named_members("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse=True):
        """The buffers, each once."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    # --- all at once -------------------------------------------------------------------------

    def apply(self, fn):
        """Call `fn` with each module below this one and then with this one; returns it."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def train(self, mode=True):
        """Set training mode, or with False evaluation mode, here and below."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self):
        """Set evaluation mode here and below."""
        return self.train(False)

    def requires_grad_(self, requires_grad=True):
        """Set `requires_grad` of all parameters."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none=True):
        """Drop the gradients of all parameters, or without `set_to_none` fill them with zeros."""
        for parameter in self.parameters():
            if parameter.grad is None:
                continue
            if set_to_none:
                parameter.grad = None
            else:
                parameter.grad = parameter.grad.detach().zero_()

    # --- conversions -------------------------------------------------------------------------

    def _apply(self, fn, recurse=True):
        """Replace the memory of all parameters, their gradients and buffers by that of `fn(t)`."""
        if recurse:
            for module in self.children():
                module._apply(fn)
        for parameter in self._parameters.values():
            if parameter is None:
                continue
            gradient = parameter.grad
            parameter.data = fn(parameter.data)
            if gradient is not None:
                parameter.grad = fn(gradient.detach()).requires_grad_(gradient.requires_grad)
        for name, buffer in self._buffers.items():
            if buffer is not None:
                self._buffers[name] = fn(buffer)
        return self

    def to(self, *args, device=None, dtype=None, non_blocking=False):
        """Convert all floating parameters and buffers, in place: `to(dtype)`, `to(tensor)`."""
        for value in args:
            if isinstance(value, Tensor):
                dtype = value.dtype
            elif isinstance(value, dtype_type):
                dtype = value
            elif isinstance(value, str | device_type):
                device = value
            elif not isinstance(value, bool) and value is not None:
                raise TypeError(
                    f"to() received an invalid argument of type {type(value).__name__}; give a "
                    "dtype, a tensor or a device"
                )
        if dtype is not None and not dtype.is_floating_point:
            raise TypeError(
                "nn.Module.to only accepts floating point or complex dtypes, but got desired "
                f"dtype={dtype}"
            )
        return self._apply(lambda t: t.to(device=device, dtype=_wanted(t, dtype)))

    def cpu(self):
        """This module: its tensors are on the CPU."""
        return self

    def float(self):
        """Make all floating parameters and buffers float32."""
        return self.to(float32)

    def double(self):
        """Make all floating parameters and buffers float64."""
        return self.to(float64)

    def type(self, dst_type):
        """Give all parameters and buffers a dtype."""
        return self._apply(lambda t: t.to(dst_type))

    def to_empty(self, *, device=None, recurse=True):
        """Give all parameters and buffers memory that is not initialised."""
        from ..factories import empty_like

        return self._apply(lambda t: empty_like(t, device=device), recurse)


def _wanted(tensor, dtype):
    return dtype if tensor.dtype.is_floating_point else None

"""The declared operators: the only module of the runtime that imports what was generated."""

from .namespace import ops
from .register import exported


def __getattr__(name):
    try:
        return getattr(ops, name)
    except AttributeError:
        raise AttributeError(f"no operator is called {name!r}") from None


import rederive.generated  # noqa: E402

__all__ = ["exported", "ops", "rederive"]

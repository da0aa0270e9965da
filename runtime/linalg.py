"""Linear algebra; the declared operators with this namespace are put here."""


class LinAlgError(RuntimeError):
    """A matrix has no inverse, no such factorization, or an algorithm did not converge."""

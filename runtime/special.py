"""Special functions; the declared operators with this namespace are put here."""

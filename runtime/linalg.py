"""Linear algebra; the declared operators with this namespace are put here."""

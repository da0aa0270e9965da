"""Functions of neural networks; the declared operators with this namespace are put here."""

"""Gradients, gradient checks and custom functions."""

"""Branch-free scalar functions that kernels call."""

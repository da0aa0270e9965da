"""The generator: turns derivatives.yaml into kernels and autograd functions."""

"""Hand-written array kernels that entries of the kernel family name."""

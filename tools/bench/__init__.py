"""Speed against PyTorch: `make bench`."""

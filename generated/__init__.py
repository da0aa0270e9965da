"""What the generator wrote; regenerate with `make generate`, never edit."""

"""The public names of rederive."""

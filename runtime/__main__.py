"""`python -m rederive`: the command line, the same as the `rederive` script."""

from rederive.tools.cli import main

if __name__ == "__main__":
    raise SystemExit(main())

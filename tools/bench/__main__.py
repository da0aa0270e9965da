"""`python -m rederive.tools.bench`: the same as `rederive bench`."""

import sys

from rederive.tools.cli import main

raise SystemExit(main(["bench", *sys.argv[1:]]))

"""`python -m hypergrad` is the command `hypergrad`."""

import sys

from hypergrad.command import main

sys.exit(main())

"""`python -m hypergrad` is the command `hypergrad`; nothing below imports what it opens."""

import sys

from hypergrad_validation.command import main

sys.exit(main())

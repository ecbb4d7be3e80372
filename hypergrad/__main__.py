"""`python -m hypergrad` is the command `hypergrad`; nothing below imports what it opens."""

import sys

from hypergrad_command.command import main

sys.exit(main())

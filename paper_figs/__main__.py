"""Re-run the papers: python -m paper_figs --help."""

import sys


def run() -> int:
    """The command; Ctrl-C ends it in one line, from the first import on, and a reader that has enough in none."""
    try:
        from hypergrad_command.command import SIGPIPE, flushing
        from paper_figs.command import main

        with flushing():
            return main()
    except BrokenPipeError:  # whoever reads has seen enough
        return SIGPIPE
    except KeyboardInterrupt:
        print("interrupted: what is done is kept, the same command continues from there", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(run())

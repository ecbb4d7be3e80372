"""The command line: what there is and whether it works, how fast it is, and what became of a run."""

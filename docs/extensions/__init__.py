"""Extensions of Sphinx: they render docstrings, write the reference and the gallery."""

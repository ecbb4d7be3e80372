"""The update rules as pure NumPy, one file a rule."""

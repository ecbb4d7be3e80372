"""The update rules as pure NumPy, one file per rule."""

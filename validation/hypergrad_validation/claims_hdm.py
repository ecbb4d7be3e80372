"""Published results of HDM (2025)."""

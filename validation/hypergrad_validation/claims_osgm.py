"""Published results of OSGM (2025)."""

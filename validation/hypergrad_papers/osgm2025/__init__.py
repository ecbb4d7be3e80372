"""Gao et al. 2025 (COLT): OSGM, gradient methods with online scaling."""

"""Hypergradient descent on NumPy arrays, by NumPy or OpenCL."""

"""Larger models, through torch: networks on MNIST and digits, and models of text by characters."""

"""Baydin et al. 2018: Online learning rate adaptation with hypergradient descent."""

"""Chu et al. 2025: HDM, provable and practical online learning rate adaptation with hypergradient descent."""

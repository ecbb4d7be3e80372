"""Published results of Baydin et al. 2018."""

"""What the optimizers are made of. Nothing here is public: import from hypergrad."""

"""`hypergrad.minimize`, and what its methods share: the driver, the function that is minimised, options, estimates."""

"""Problems, data, cases and bounds: what the proofs and the figures share."""

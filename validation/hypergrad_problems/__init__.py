"""Problems with their gradients, data sets, and what runs a method on them; for tests and for the papers."""

"""The arena: training problems on which optimizers that need no learning rate meet tuned ones."""

"""The panels of Baydin et al. 2018, for the network."""

from paper_figs.baydin_panels import draw

TITLE = "Baydin et al. 2018: a network"
ALT = (
    "Three panels: learning rate and training loss by step, validation loss by epoch, six methods on a network. The "
    "rate of SGDN-HD rises first, that of SGD-HD later; both by more than a decade. Losses of SGD hardly move, those "
    "of the HD methods fall early."
)
CAPTION = (
    "SGD, SGDN and Adam at a rate of 0.001, and each with the additive rule from there, on a network of two hidden "
    "layers of rectifiers; beta = 0.001, for Adam-HD 1e-7. On MNIST it is the authors' with 1000 neurons a layer: two "
    "epochs, or with --full mlp a hundred, and circles are the authors' log, of which we have every 50th step after "
    "the 600th, and of Adam-HD the epochs only. Rounding grows from step to step, so the two agree in every digit at "
    "first and in the mean later. Without MNIST, a smaller network on scikit-learn's digits. The best validation loss "
    "need not be that of the best training loss."
)

__all__ = ["draw"]

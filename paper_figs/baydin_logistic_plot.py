"""The panels of Baydin et al. 2018, for logistic regression."""

from paper_figs.baydin_panels import draw

TITLE = "Baydin et al. 2018: logistic regression"
ALT = (
    "Three panels: learning rate and training loss by step, validation loss by epoch, six methods. The rates of "
    "SGD-HD and SGDN-HD rise by more than a decade within ten steps; their losses fall well before those of SGD and "
    "SGDN. Adam and Adam-HD can hardly be distinguished."
)
CAPTION = (
    "SGD, SGD with Nesterov momentum (SGDN) and Adam at a rate of 0.001, and each with the additive rule from there: "
    "beta = 0.001, for Adam-HD 1e-7. Softmax regression on minibatches of 128, weights and minibatches from the "
    "authors' seed. On MNIST, ten epochs, circles are what the authors logged, and the facts below say how far any of "
    "their steps is from ours. Without it, forty epochs on scikit-learn's digits, for which nothing is published. "
    "Steps are averaged in bins that grow with the step."
)

__all__ = ["draw"]

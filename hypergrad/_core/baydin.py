"""The options that SGDHD and AdamHD share, and what they mean: a rate without bounds, as in Baydin et al. 2018."""

import math

from hypergrad._core.options import DelayedNonfinite, LrScope, RateRule
from hypergrad._core.policy import Policy


class BaydinOptions:
    """The options that SGDHD and AdamHD share, those of groups excepted."""

    hyper_lr: float
    rule: RateRule
    lr_scope: LrScope
    nonfinite: DelayedNonfinite
    delay: int


def form_policy(o: BaydinOptions) -> Policy:
    """The constants of the step."""
    return Policy(o.lr_scope, -math.inf, math.inf, o.nonfinite, delay=o.delay)


MEANINGS = {
    "lr": "alpha_0; the rate has no bounds and may turn negative, as in the paper",
    "weight_decay": "L2, coupled: g = grad + weight_decay theta, before everything else",
    "lr_scope": '"global": one rate for all groups, as in the paper; "group": a learned rate per group',
    "hyper_lr": "the pace at which the rate learns, in units of lr / h, or a pure number where the rule is "
    "multiplicative",
}
"""By name of the argument, for `describe`."""

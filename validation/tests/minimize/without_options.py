"""Methods of the minimiser without an option, except for what cannot be estimated."""

ESTIMATING = [
    "hdm", "hdm_null", "hdm_lookahead", "hdm_monotone_lookahead", "hdm_learned_step", "hdm_adagrad",
    "hdm_hb_lookahead", "hdm_agd", "hdm_agd_strongly_convex", "hdm_best", "hdm_best_corrected", "osgm_best",
    "osgm_best_corrected", "gd", "gd_hb", "agd_cvx", "agd_scvx",
]  # fmt: skip


def defaults(method):
    """Nothing, except for the one option without a default."""
    return {"optimal_value": 0.0} if method == "osgm_r" else {}

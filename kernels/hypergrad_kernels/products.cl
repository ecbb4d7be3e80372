// products.cl: the inner products of the elements i .. i+WIDTH-1, inside the loop of a kernel that sums; included by
// sums.cl, and by adamw.cl and sgd_hd.cl with delay 1. Reference: hypergrad_reference/loops.py, inner_products.
//
//   GRAD_GRAD              ||g||^2
//   GRAD_DIRECTION         <g, d>                 d rebuilt from the moments (SHADER as in adamw.cl), or KEPT
//   DIRECTION_DIRECTION    ||d||^2
//   GRAD_EXP_AVG           <g, m>
//   GRAD_THETA             <g, theta>
//   DEVIATION_DEVIATION    ||g - e||^2
//   GRAD_BETA1_DERIVATIVE  <g, dd/dbeta1>         exact only
//
// Each is defined as the row of `out` that it goes to, or not at all; COUNT is the number of rows.
// The kernel has g, and what the products name of: w theta, m exp_avg, u exp_avg_sq or its running maximum, d the
// direction that was kept, e grad_ema, last last_grad; all as step t-1 left them, as are the numbers last_... .
#ifdef EXP_AVG_SQ
#ifdef SHADER
    vec last_v_hat = u / max(TINY, 1 - last_beta2_t);
    last_v_hat = last_v_hat < 0 ? (vec)(0) : last_v_hat;
    const vec last_m_hat = m / max(TINY, 1 - last_beta1_t);
#else
    const vec last_v_hat = u * last_i2, last_m_hat = m * last_i1;
#endif
    const vec last_root = SQRT(last_v_hat) + last_eps;
#endif
#ifdef DIRECTION
    const vec d = last_m_hat / last_root;
#endif
#ifdef GRAD_GRAD
    ADD(GRAD_GRAD, g * g);
#endif
#ifdef GRAD_DIRECTION
    ADD(GRAD_DIRECTION, g * d);
#endif
#ifdef DIRECTION_DIRECTION
    ADD(DIRECTION_DIRECTION, d * d);
#endif
#ifdef GRAD_EXP_AVG
    ADD(GRAD_EXP_AVG, g * m);
#endif
#ifdef GRAD_THETA
    ADD(GRAD_THETA, g * w);
#endif
#ifdef DEVIATION_DEVIATION
    const vec deviation = g - e;
    ADD(DEVIATION_DEVIATION, deviation * deviation);
#endif
#ifdef GRAD_BETA1_DERIVATIVE
    ADD(GRAD_BETA1_DERIVATIVE, g * (((m - last) * last_p + m * last_q) / last_root));
#endif

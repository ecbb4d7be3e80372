// adamw.cl: one step of AdamW on one tensor; reference: hypergrad_reference/adamw.py, apply_exact, apply_amsgrad and
// apply_shader. The shader convention is a translation of grilly's GLSL shader adamw-update.
//
//   SHADER       the shader's scalars and arithmetic; otherwise `exact`
//   AMSGRAD      divide by the running maximum of v (exact only)
//   FOLLOW       also keep the running mean e of the gradient: 1 e = gamma e + (1-gamma) g, or 2 e = g the first time
//   L2           g = grad * grad_scale + l2 * theta, decay coupled to the gradient
//   KEEP_GRAD    keep g for the next step's derivative with respect to beta1
//   CLEAR_GRAD   leave zeros in grad
//
// Launch: one item for WIDTH * STEPS elements; any n, 64-bit. No barrier, no local memory.
// Moves 28 bytes per float32 parameter (reads theta, grad, m, v; writes theta, m, v); AMSGRAD +8, FOLLOW +8 (+4 the first
// time), KEEP_GRAD +4, CLEAR_GRAD +4.
// Error: none, the bits of NumPy, wherever division and square root are correctly rounded.

KERNEL adamw(const ulong first, const ulong n,
             __global real *theta,
#ifdef CLEAR_GRAD
             __global real *grad,
#else
             __global const real *grad,
#endif
             __global real *exp_avg, __global real *exp_avg_sq,
#ifdef AMSGRAD
             __global real *max_exp_avg_sq,
#endif
#ifdef FOLLOW
             __global real *grad_ema,
#endif
#ifdef KEEP_GRAD
             __global real *last_grad,
#endif
#ifdef FOLLOW
             const real gamma, const real one_minus_gamma,
#endif
#ifdef L2
             const real l2,
#endif
#ifdef SHADER
             const real learning_rate, const real beta1, const real beta2, const real epsilon,
             const real weight_decay, const real beta1_t, const real beta2_t,
#else
             const real b1, const real c1, const real b2, const real c2, const real i1, const real i2,
             const real a, const real k, const real eps,
#endif
             const real grad_scale) {
  FOR_EACH_VECTOR(i, first, n) {
    const vec w = load(theta, i, n);
#ifdef L2
    const vec g = load(grad, i, n) * grad_scale + l2 * w;
#else
    const vec g = load(grad, i, n) * grad_scale;
#endif
#ifdef SHADER
    const vec m = beta1 * load(exp_avg, i, n) + (1 - beta1) * g;
    const vec v = beta2 * load(exp_avg_sq, i, n) + ((1 - beta2) * g) * g;
    const vec m_hat = m / max(TINY, 1 - beta1_t);
    vec v_hat = v / max(TINY, 1 - beta2_t);
    v_hat = v_hat < 0 ? (vec)(0) : v_hat;
    const vec moved = w * (1 - learning_rate * weight_decay) - (learning_rate * m_hat) / (SQRT(v_hat) + epsilon);
#else
    const vec m = b1 * load(exp_avg, i, n) + c1 * g;
    const vec v = b2 * load(exp_avg_sq, i, n) + (c2 * g) * g;
#ifdef AMSGRAD
    const vec v_max = load(max_exp_avg_sq, i, n);
    const vec u = v <= v_max ? v_max : v;  // a NaN in v shows, as in NumPy's maximum
    store(u, max_exp_avg_sq, i, n);
#else
    const vec u = v;
#endif
    const vec moved = w * k - (a * m) / (SQRT(u * i2) + eps);
#endif
    store(m, exp_avg, i, n);
    store(v, exp_avg_sq, i, n);
    store(moved, theta, i, n);
#if FOLLOW == 1
    store(gamma * load(grad_ema, i, n) + one_minus_gamma * g, grad_ema, i, n);
#elif FOLLOW == 2
    store(g, grad_ema, i, n);
#endif
#ifdef KEEP_GRAD
    store(g, last_grad, i, n);
#endif
#ifdef CLEAR_GRAD
    store((vec)(0), grad, i, n);
#endif
  }
}

// adamw.cl: one step of AdamW on one tensor; reference: hypergrad_reference/adamw.py, apply_exact, apply_amsgrad and
// apply_shader. The shader convention is a translation of grilly's GLSL shader adamw-update.
//
//   SHADER       the shader's scalars and arithmetic; otherwise `exact`
//   AMSGRAD      divide by the running maximum of v (exact only)
//   FOLLOW       also keep the running mean e of the gradient: 1 e = gamma e + (1-gamma) g, or 2 e = g the first time
//   L2           g = grad * grad_scale + l2 * theta, decay coupled to the gradient
//   KEEP_GRAD    keep g for the next step's derivative with respect to beta1
//   CLEAR_GRAD   leave zeros in grad
//   COUNT        delay 1: in the same pass sum the products of products.cl over what was there before the step
//   STOPPED      with it: an element of which theta, m or v would not be finite keeps all that it had, grad included
//
// Launch: `adamw` one item for WIDTH * STEPS elements, no barrier, no local memory; `adamw_delayed` as sums.cl. Any n,
// 64-bit.
// Moves 28 bytes per float32 parameter (reads theta, grad, m, v; writes theta, m, v); AMSGRAD +8, FOLLOW +8 (+4 the first
// time), KEEP_GRAD +4, CLEAR_GRAD +4; the products of `adamw_delayed` +4 if they read last_grad.
// Error: none, the bits of NumPy, wherever division and square root are correctly rounded; the sums as in sums.cl.

#ifdef COUNT
KERNEL adamw_delayed(const ulong first, const ulong n, const ulong blocks, __global real *out,
#else
KERNEL adamw(const ulong first, const ulong n,
#endif
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
             LAST_NUMBERS
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
#ifdef COUNT
  const ulong block = FIND_BLOCK(first);
  if (block >= blocks) return;
  DECLARE_SUMS(COUNT)
  FOR_EACH_PLACE(i, block, n) {
#else
  FOR_EACH_VECTOR(i, first, n) {
#endif
    const vec w = load(theta, i, n), m = load(exp_avg, i, n), v = load(exp_avg_sq, i, n);
#ifdef AMSGRAD
    const vec u = load(max_exp_avg_sq, i, n);
#else
    const vec u = v;
#endif
#if FOLLOW == 1
    const vec e = load(grad_ema, i, n);
#elif FOLLOW == 2
    const vec e = (vec)(0);
#endif
#if defined(GRAD_BETA1_DERIVATIVE) || (defined(KEEP_GRAD) && defined(STOPPED))
    const vec last = load(last_grad, i, n);
#endif
#ifdef L2
    const vec g = load(grad, i, n) * grad_scale + l2 * w;
#else
    const vec g = load(grad, i, n) * grad_scale;
#endif
#ifdef COUNT
#include "products.cl"
#endif
#ifdef SHADER
    const vec m_t = beta1 * m + (1 - beta1) * g;
    const vec v_t = beta2 * v + ((1 - beta2) * g) * g;
    const vec m_hat = m_t / max(TINY, 1 - beta1_t);
    vec v_hat = v_t / max(TINY, 1 - beta2_t);
    v_hat = v_hat < 0 ? (vec)(0) : v_hat;
    const vec w_t = w * (1 - learning_rate * weight_decay) - (learning_rate * m_hat) / (SQRT(v_hat) + epsilon);
#else
    const vec m_t = b1 * m + c1 * g;
    const vec v_t = b2 * v + (c2 * g) * g;
#ifdef AMSGRAD
    const vec u_t = v_t <= u ? u : v_t;  // a NaN in v shows, as in NumPy's maximum
#else
    const vec u_t = v_t;
#endif
    const vec w_t = w * k - (a * m_t) / (SQRT(u_t * i2) + eps);
#endif
#if FOLLOW == 1
    const vec e_t = gamma * e + one_minus_gamma * g;
#elif FOLLOW == 2
    const vec e_t = g;
#endif
    STOP_UNLESS(FINITE(w_t) + FINITE(m_t) + FINITE(v_t))
    store(CHOOSE(m_t, m), exp_avg, i, n);
    store(CHOOSE(v_t, v), exp_avg_sq, i, n);
    store(CHOOSE(w_t, w), theta, i, n);
#ifdef AMSGRAD
    store(CHOOSE(u_t, u), max_exp_avg_sq, i, n);
#endif
#ifdef FOLLOW
    store(CHOOSE(e_t, e), grad_ema, i, n);
#endif
#ifdef KEEP_GRAD
    store(CHOOSE(g, last), last_grad, i, n);
#endif
#ifdef CLEAR_GRAD
    store(CHOOSE((vec)(0), load(grad, i, n)), grad, i, n);
#endif
  }
#ifdef COUNT
  STORE_SUMS(COUNT, out, block, blocks);
#endif
}

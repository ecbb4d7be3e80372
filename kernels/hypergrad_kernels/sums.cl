// sums.cl: inner products of one tensor, block by block, all that are asked for in one pass over the arrays;
// reference: hypergrad_reference/sums.py for the order, hypergrad_reference/loops.py for the products.
//
//   GRAD_GRAD              ||g||^2                g = grad * grad_scale, with L2 + l2 * theta
//   GRAD_DIRECTION         <g, d>                 d rebuilt from the moments (SHADER as in adamw.cl), or KEPT
//   DIRECTION_DIRECTION    ||d||^2
//   GRAD_EXP_AVG           <g, m>
//   GRAD_THETA             <g, theta>
//   DEVIATION_DEVIATION    ||g - e||^2
//   GRAD_BETA1_DERIVATIVE  <g, dd/dbeta1>         exact only
//
// Each is defined as the row of `out` that it goes to, or not at all; COUNT is the number of rows. Row r holds `blocks`
// numbers, from r * blocks on.
// Launch: one item for a block of 4096 elements, with no barrier and no local memory, or, on a GPU, one group; any n,
// 64-bit. No work-group size can change a bit. Reads 4 bytes per float32 parameter for each array that a product names: 12 for <g, d> and ||g||^2.
// Error against exact arithmetic, u = 2^-24 or 2^-53: (BLOCK/LANES + 4 + 1) u sum|x_i y_i| a block.

#if (defined(GRAD_DIRECTION) || defined(DIRECTION_DIRECTION)) && !defined(KEPT)
#define DIRECTION
#endif
#if defined(DIRECTION) || defined(GRAD_BETA1_DERIVATIVE)
#define EXP_AVG_SQ
#endif
#if defined(EXP_AVG_SQ) || defined(GRAD_EXP_AVG)
#define EXP_AVG
#endif

KERNEL inner_products(const ulong first, const ulong n, const ulong blocks, __global real *out,
                      __global const real *grad,
#ifdef KEPT
                      __global const real *direction,
#endif
#ifdef EXP_AVG
                      __global const real *exp_avg,
#endif
#ifdef EXP_AVG_SQ
                      __global const real *exp_avg_sq,  // or its running maximum
#endif
#if defined(GRAD_THETA) || defined(L2)
                      __global const real *theta,
#endif
#ifdef DEVIATION_DEVIATION
                      __global const real *grad_ema,
#endif
#ifdef GRAD_BETA1_DERIVATIVE
                      __global const real *last_grad, const real p_last, const real q_last,
#endif
#ifdef EXP_AVG_SQ
#ifdef SHADER
                      const real beta1_t, const real beta2_t,
#else
                      const real i1, const real i2,
#endif
                      const real eps,
#endif
#ifdef L2
                      const real l2,
#endif
                      const real grad_scale) {
  const ulong block = FIND_BLOCK(first);
  if (block >= blocks) return;
  DECLARE_SUMS(COUNT)
  FOR_EACH_PLACE(i, block, n) {
#if defined(GRAD_THETA) || defined(L2)
    const vec w = load(theta, i, n);
#endif
#ifdef L2
    const vec g = load(grad, i, n) * grad_scale + l2 * w;
#else
    const vec g = load(grad, i, n) * grad_scale;
#endif
#ifdef EXP_AVG
    const vec m = load(exp_avg, i, n);
#endif
#ifdef EXP_AVG_SQ
    const vec u = load(exp_avg_sq, i, n);
#ifdef SHADER
    vec v_hat = u / max(TINY, 1 - beta2_t);
    v_hat = v_hat < 0 ? (vec)(0) : v_hat;
    const vec m_hat = m / max(TINY, 1 - beta1_t);
#else
    const vec v_hat = u * i2, m_hat = m * i1;
#endif
    const vec root = SQRT(v_hat) + eps;
#endif
#if defined(DIRECTION)
    const vec d = m_hat / root;
#elif defined(KEPT)
    const vec d = load(direction, i, n);
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
    const vec deviation = g - load(grad_ema, i, n);
    ADD(DEVIATION_DEVIATION, deviation * deviation);
#endif
#ifdef GRAD_BETA1_DERIVATIVE
    ADD(GRAD_BETA1_DERIVATIVE, g * (((m - load(last_grad, i, n)) * p_last + m * q_last) / root));
#endif
  }
  STORE_SUMS(COUNT, out, block, blocks);
}

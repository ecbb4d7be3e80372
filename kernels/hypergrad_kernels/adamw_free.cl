// adamw_free.cl: TuningFreeAdamW on one tensor, block by block; reference: hypergrad_reference/loops.py, update of the
// scalars of adamw_free.py, whose equations are in adamw_free.py and adamw_free_variants.py.
//
//   LAZY         the average behind E1 is kept instead of E1: `slow` is then an average
//   LOOK         a is formed and `slow` moves: always but in the lazy form between two looks
//   DELAYED      sum also ||g||^2 and, at a look, <g, a> and ||a||^2, of the arrays as they were before the step
//   CLEAR_GRAD   leave zeros in grad
//
//   lags         loop 1: ||g||^2, <g, a> and ||a||^2, rows 0, 1, 2 of `left`
//   adamw_free   loop 2: the update; row 0 of `left` is ||step||^2, the rows after it those of DELAYED
//
// Launch: as sums.cl, one item for a block of 4096 elements, or a group; any n, 64-bit.
// Moves 44 bytes per float32 parameter in loop 2 (reads theta, grad, m, v, E1, E2; writes all but grad), 36 without LOOK;
// CLEAR_GRAD +4; `lags` reads 12, LAZY 16.
// Error: none, the bits of NumPy, wherever division and square root are correctly rounded.

#ifdef LAZY
#define FORM_LAG(slow, fast, theta) (((slow) - (theta)) - rho * (fast))
#else
#define FORM_LAG(slow, fast, theta) ((slow) - rho * (fast))
#endif

KERNEL lags(const ulong first, const ulong n, const ulong blocks, __global real *left, __global const real *grad,
            __global const real *lag_fast, __global const real *slow,
#ifdef LAZY
            __global const real *point,
#endif
            const real b, const real rho, const real grad_scale) {
  const ulong block = FIND_BLOCK(first);
  if (block >= blocks) return;
  DECLARE_SUMS(3)
  FOR_EACH_PLACE(i, block, n) {
    const vec g = load(grad, i, n) * grad_scale;
    const vec fast = load(lag_fast, i, n);
#ifdef LAZY
    const vec theta = load(point, i, n) - b * fast;
#endif
    const vec lag = FORM_LAG(load(slow, i, n), fast, theta);
    ADD(0, g * g);
    ADD(1, g * lag);
    ADD(2, lag * lag);
  }
  STORE_SUMS(3, left, block, blocks);
}

#if defined(DELAYED) && defined(LOOK)
#define ROWS 4
#elif defined(DELAYED)
#define ROWS 2
#else
#define ROWS 1
#endif

KERNEL adamw_free(const ulong first, const ulong n, const ulong blocks, __global real *left, __global real *point,
#ifdef CLEAR_GRAD
                  __global real *grad,
#else
                  __global const real *grad,
#endif
                  __global real *exp_avg, __global real *exp_avg_sq, __global real *lag_fast,
#ifdef LOOK
                  __global real *slow,
#endif
                  const real b1, const real c1, const real b2, const real c2, const real i2, const real a,
                  const real k, const real eps, const real b, const real rho, const real keep_slow,
                  const real keep_fast, const real weight, const real grad_scale) {
  const ulong block = FIND_BLOCK(first);
  if (block >= blocks) return;
  DECLARE_SUMS(ROWS)
  FOR_EACH_PLACE(i, block, n) {
    const vec g = load(grad, i, n) * grad_scale;
    const vec fast = load(lag_fast, i, n);
    const vec theta = load(point, i, n) - b * fast;
    const vec m = b1 * load(exp_avg, i, n) + c1 * g;
    const vec v = b2 * load(exp_avg_sq, i, n) + (c2 * g) * g;
    const vec step = (a * m) / (SQRT(v * i2) + eps) + k * theta;
    const vec moved = theta - step;
    const vec fast_t = keep_fast * (fast + step);
    store(m, exp_avg, i, n);
    store(v, exp_avg_sq, i, n);
    store(fast_t, lag_fast, i, n);
    store(moved + b * fast_t, point, i, n);
#ifdef LOOK
    const vec before = load(slow, i, n);
#ifdef LAZY
    store(before + weight * (moved - before), slow, i, n);
#else
    store(keep_slow * (before + step), slow, i, n);
#endif
#endif
#ifdef CLEAR_GRAD
    store((vec)(0), grad, i, n);
#endif
    ADD(0, step * step);
#ifdef DELAYED
    ADD(1, g * g);
#ifdef LOOK
    const vec lag = FORM_LAG(before, fast, theta);
    ADD(2, g * lag);
    ADD(3, lag * lag);
#endif
#endif
  }
  STORE_SUMS(ROWS, left, block, blocks);
}

// sgd_hd.cl: one step of SGD-HD on one tensor; reference: hypergrad_reference/sgd_hd.py, move, with
// Plain, HeavyBall and Nesterov. The inner products of the step are those of sums.cl with KEPT.
//
//   HEAVY_BALL    v = momentum v + undamped g,   d = v
//   NESTEROV      v = momentum v + g,            d = g + momentum v
//                 otherwise                      d = g
//   L2            g = grad + l2 theta, otherwise g = grad
//
// Launch: one item for WIDTH * STEPS elements; any n, 64-bit. No barrier, no local memory.
// Moves 16 bytes per float32 parameter (reads theta, grad; writes theta, direction), HEAVY_BALL and NESTEROV 24; with the 8
// of sums.cl 24 and 32 per step.
// Error: none, the bits of NumPy.

KERNEL sgd_hd(const ulong first, const ulong n,
              __global real *theta, __global const real *grad, __global real *direction,
#if defined(HEAVY_BALL) || defined(NESTEROV)
              __global real *velocity, const real momentum,
#endif
#ifdef HEAVY_BALL
              const real undamped,
#endif
#ifdef L2
              const real l2,
#endif
              const real lr) {
  FOR_EACH_VECTOR(i, first, n) {
    const vec w = load(theta, i, n);
#ifdef L2
    const vec g = load(grad, i, n) + l2 * w;
#else
    const vec g = load(grad, i, n);
#endif
#if defined(HEAVY_BALL)
    const vec v = momentum * load(velocity, i, n) + undamped * g;
    const vec d = v;
#elif defined(NESTEROV)
    const vec v = momentum * load(velocity, i, n) + g;
    const vec d = g + momentum * v;
#else
    const vec d = g;
#endif
#if defined(HEAVY_BALL) || defined(NESTEROV)
    store(v, velocity, i, n);
#endif
    store(d, direction, i, n);
    store(w - lr * d, theta, i, n);
  }
}

// sgd_hd.cl: one step of SGD-HD on one tensor; reference: hypergrad_reference/sgd_hd.py, move, with
// Plain, HeavyBall and Nesterov. The inner products of the step are those of sums.cl with KEPT.
//
//   HEAVY_BALL    v = momentum v + undamped g,   d = v
//   NESTEROV      v = momentum v + g,            d = g + momentum v
//                 otherwise                      d = g
//   L2            g = grad + l2 theta, otherwise g = grad
//   COUNT         delay 1: in the same pass sum the products of products.cl (KEPT) over what was there before the step
//   STOPPED       with it: an element of which theta or d would not be finite keeps all that it had
//
// Launch: `sgd_hd` one item for WIDTH * STEPS elements, no barrier, no local memory; `sgd_hd_delayed` as sums.cl. Any n,
// 64-bit.
// Moves 16 bytes per float32 parameter (reads theta, grad; writes theta, direction), HEAVY_BALL and NESTEROV 24; with the 8
// of sums.cl 24 and 32 per step. `sgd_hd_delayed` 20 and 28.
// Error: none, the bits of NumPy; the sums as in sums.cl.

#ifdef COUNT
KERNEL sgd_hd_delayed(const ulong first, const ulong n, const ulong blocks, __global real *out,
#else
KERNEL sgd_hd(const ulong first, const ulong n,
#endif
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
#ifdef COUNT
  const ulong block = FIND_BLOCK(first);
  if (block >= blocks) return;
  DECLARE_SUMS(COUNT)
  FOR_EACH_PLACE(i, block, n) {
#else
  FOR_EACH_VECTOR(i, first, n) {
#endif
    const vec w = load(theta, i, n);
#ifdef L2
    const vec g = load(grad, i, n) + l2 * w;
#else
    const vec g = load(grad, i, n);
#endif
#if defined(KEPT) || defined(STOPPED)
    const vec d = load(direction, i, n);
#endif
#ifdef COUNT
#include "products.cl"
#endif
#if defined(HEAVY_BALL) || defined(NESTEROV)
    const vec v = load(velocity, i, n);
#endif
#if defined(HEAVY_BALL)
    const vec v_t = momentum * v + undamped * g;
    const vec d_t = v_t;
#elif defined(NESTEROV)
    const vec v_t = momentum * v + g;
    const vec d_t = g + momentum * v_t;
#else
    const vec d_t = g;
#endif
    const vec w_t = w - lr * d_t;
    STOP_UNLESS(FINITE(w_t) + FINITE(d_t))
#if defined(HEAVY_BALL) || defined(NESTEROV)
    store(CHOOSE(v_t, v), velocity, i, n);
#endif
    store(CHOOSE(d_t, d), direction, i, n);
    store(CHOOSE(w_t, w), theta, i, n);
  }
#ifdef COUNT
  STORE_SUMS(COUNT, out, block, blocks);
#endif
}

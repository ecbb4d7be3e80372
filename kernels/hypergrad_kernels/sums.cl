// sums.cl: inner products of one tensor, block by block, all that are asked for in one pass over the arrays;
// reference: hypergrad_reference/sums.py for the order, hypergrad_reference/loops.py for the products.
//
//   GRAD_GRAD and others, COUNT      which products, see products.cl; row r of `out` begins at r * blocks
//   L2                               g = grad * grad_scale + l2 * theta, otherwise g = grad * grad_scale
//
// Launch: one item for a block of 4096 elements, with no barrier and no local memory, or, on a GPU, one group; any n,
// 64-bit. No work-group size can change a bit. Reads 4 bytes per float32 parameter for each array that a product names: 12 for <g, d> and ||g||^2.
// Error against exact arithmetic, u = 2^-24 or 2^-53: (BLOCK/LANES + 4 + 1) u sum|x_i y_i| a block.

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
                      __global const real *last_grad,
#endif
                      LAST_NUMBERS
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
#endif
#ifdef KEPT
    const vec d = load(direction, i, n);
#endif
#ifdef DEVIATION_DEVIATION
    const vec e = load(grad_ema, i, n);
#endif
#ifdef GRAD_BETA1_DERIVATIVE
    const vec last = load(last_grad, i, n);
#endif
#include "products.cl"
  }
  STORE_SUMS(COUNT, out, block, blocks);
}

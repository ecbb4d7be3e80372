// hdm.cl: an HDM or OSGM iteration with a diagonal stepsize; reference: hypergrad_reference/hdm_loops.py.
//
//   inner_products    <g+, d>, ||g+||^2, ||g+ - g||^2, ||trial - x||^2 in one pass; the order of sums.cl
//   adapt             P by its learner, then x, g, d, then the next trial point, in one pass
//
//   OGD        P - rate r;   INSIDE  P - (rate r) / sqrt(U + eps);   otherwise  P - (rate r) / (sqrt(U) + eps)
//   ACCEPTED   x, g, d = trial, g+, trial - x;   otherwise d = 0
//
// Launch: inner_products as sums.cl, adapt one item for WIDTH * STEPS elements; any n, 64-bit.
// Moves, in float64: inner_products 40 bytes per element; adapt 96 accepted (reads x, g, g+, P, U, trial; writes x, g, d,
// P, U, trial), 72 refused (neither reads trial nor writes x and g); OGD 16 less.
// Error: adapt none, the bits of NumPy; the sums as in sums.cl.

#define COUNT 4

KERNEL inner_products(const ulong first, const ulong n, const ulong blocks, __global real *out,
                      __global const real *x, __global const real *gradient, __global const real *displacement,
                      __global const real *trial, __global const real *trial_gradient) {
  const ulong block = FIND_BLOCK(first);
  if (block >= blocks) return;
  DECLARE_SUMS(COUNT)
  FOR_EACH_PLACE(i, block, n) {
    const vec next = load(trial_gradient, i, n);
    const vec change = next - load(gradient, i, n);
    const vec move = load(trial, i, n) - load(x, i, n);
    ADD(0, next * load(displacement, i, n));
    ADD(1, next * next);
    ADD(2, change * change);
    ADD(3, move * move);
  }
  STORE_SUMS(COUNT, out, block, blocks);
}

KERNEL adapt(const ulong first, const ulong n, __global real *x, __global real *gradient,
             __global real *displacement, __global real *P, __global real *accumulator, __global real *trial,
             __global const real *trial_gradient, const real denominator, const real rate, const real eps,
             const real low, const real high, const real beta) {
  FOR_EACH_VECTOR(i, first, n) {
    const vec next = load(trial_gradient, i, n);
    vec w = load(x, i, n), g = load(gradient, i, n);
    const vec r = -(next * g) / denominator;
    vec p = load(P, i, n);
#ifdef OGD
    p = p - rate * r;
#else
    const vec U = load(accumulator, i, n) + r * r;
    store(U, accumulator, i, n);
#ifdef INSIDE
    p = p - (rate * r) / SQRT(U + eps);
#else
    p = p - (rate * r) / (SQRT(U) + eps);
#endif
#endif
    p = p < low ? (vec)(low) : p;
    p = p > high ? (vec)(high) : p;
    store(p, P, i, n);
#ifdef ACCEPTED
    const vec t = load(trial, i, n);
    const vec d = t - w;
    w = t;
    g = next;
    store(w, x, i, n);
    store(g, gradient, i, n);
#else
    const vec d = (vec)(0);
#endif
    store(d, displacement, i, n);
    store((w - p * g) + beta * d, trial, i, n);
  }
}

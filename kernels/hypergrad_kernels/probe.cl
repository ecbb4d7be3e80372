// probe.cl: the traffic of the other kernels without their arithmetic, which shows what memory gives.
//
//   update_traffic    reads four arrays and writes three, as adamw.cl does: 28 bytes per float32 element
//   read_traffic      reads three, as sums.cl does for <g, d> and ||g||^2: 12 bytes
//
// Launch: update_traffic one item for WIDTH * STEPS elements, read_traffic as sums.cl; any n, 64-bit.

KERNEL update_traffic(const ulong first, const ulong n, __global real *theta, __global const real *grad,
                      __global real *exp_avg, __global real *exp_avg_sq) {
  FOR_EACH_VECTOR(i, first, n) {
    const vec g = load(grad, i, n);
    const vec w = load(theta, i, n) + g, m = load(exp_avg, i, n) + g, v = load(exp_avg_sq, i, n) + g;
    store(m, exp_avg, i, n);
    store(v, exp_avg_sq, i, n);
    store(w, theta, i, n);
  }
}

KERNEL read_traffic(const ulong first, const ulong n, const ulong blocks, __global real *out,
                    __global const real *grad, __global const real *exp_avg, __global const real *exp_avg_sq) {
  const ulong block = FIND_BLOCK(first);
  if (block >= blocks) return;
  DECLARE_SUMS(1)
  FOR_EACH_PLACE(i, block, n) { ADD(0, load(grad, i, n) + load(exp_avg, i, n) + load(exp_avg_sq, i, n)); }
  STORE_SUMS(1, out, block, blocks);
}

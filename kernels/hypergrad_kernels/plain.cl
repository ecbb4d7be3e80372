// plain.cl: where a porter begins. One step of AdamW and one inner product, a float at a time, without a macro; the
// bits are those of adamw.cl, of sums.cl and of NumPy. Reference: hypergrad_reference/adamw.py, apply_exact, and
// hypergrad_reference/sums.py, block_sums.
//
// Three things make the bits equal, here as in the fast kernels: no multiplication is contracted with an addition,
// division and square root are correctly rounded, and a sum has one order, whatever the device. adamw.cl adds vectors
// and options to `adamw`; sums.cl adds vectors and more products in one pass to `inner_product`.
#pragma OPENCL FP_CONTRACT OFF

// One item per element. The scalars are ExactScalars, rounded to float; i1 is not used, for a = lr i1 holds it.
__kernel void adamw(const ulong n, __global float *theta, __global const float *grad, __global float *exp_avg,
                    __global float *exp_avg_sq, const float b1, const float c1, const float b2, const float c2,
                    const float i1, const float i2, const float a, const float k, const float eps) {
  const ulong i = get_global_id(0);
  if (i >= n) return;
  const float g = grad[i];
  const float m = b1 * exp_avg[i] + c1 * g;
  const float v = b2 * exp_avg_sq[i] + (c2 * g) * g;
  theta[i] = theta[i] * k - (a * m) / (sqrt(v * i2) + eps);
  exp_avg[i] = m;
  exp_avg_sq[i] = v;
}

// One item per block of 4096 elements: element i is added to lane i mod 16, then the lanes are folded in halves. The
// host adds the blocks by math.fsum, which is exact.
__kernel void inner_product(const ulong n, __global const float *x, __global const float *y, __global float *out) {
  const ulong block = get_global_id(0), begin = block * 4096, end = min(begin + 4096, n);
  if (begin >= n) return;
  float lane[16] = {0};
  for (ulong i = begin; i < end; i++) lane[i % 16] += x[i] * y[i];
  for (int half_width = 8; half_width > 0; half_width /= 2)
    for (int j = 0; j < half_width; j++) lane[j] += lane[j + half_width];
  out[block] = lane[0];
}

// common.cl: what every kernel file starts with. Host code puts this text before the kernels of a file.
//
//   DOUBLE    the arrays are float64, otherwise float32; every operation rounds to that, none is contracted
//   WIDTH     elements that a work-item takes at a time: 1, 2, 4, 8 or 16
//   STEPS     how often it does so in an elementwise kernel
//   ACCESS    how it reaches them: PACKED, VLOAD, or ALIGNED where every array begins at a multiple of a vector
//   MANY      kernels are functions, called by one kernel for many tensors (see launcher.py)
//   GROUP     in a kernel that sums, a work-group of GROUP items takes a block, where otherwise one item does: for GPUs,
//             which have many items and want neighbours to read neighbouring elements
//
// The arguments of a kernel: first, the item with which its tensor begins; sizes; arrays; numbers.
#pragma OPENCL FP_CONTRACT OFF

#ifdef DOUBLE
#define REAL double
#else
#define REAL float
#endif
#ifndef WIDTH
#define WIDTH 8
#endif
#ifndef STEPS
#define STEPS 1
#endif
#define PACKED 0
#define VLOAD 1
#define ALIGNED 2
#ifndef ACCESS
#define ACCESS PACKED
#endif

typedef REAL real;

#define PASTE_(a, b) a##b
#define PASTE(a, b) PASTE_(a, b)
#if WIDTH == 1
typedef real vec;
typedef int mask;  // what a comparison of vectors gives
#else
typedef PASTE(REAL, WIDTH) vec;
#ifdef DOUBLE
typedef PASTE(long, WIDTH) mask;
#else
typedef PASTE(int, WIDTH) mask;
#endif
#endif

// The hint keeps a compiler from vectorising over work-items what is vectors already: one gathers single elements then,
// and is ten times slower.
#define ENTRY __kernel __attribute__((vec_type_hint(vec))) void
#ifdef MANY
#define KERNEL void
#else
#define KERNEL ENTRY
#endif

// Users' arrays begin at any multiple of the element's size. A packed struct lets the compiler load and store whole
// vectors there; vload and vstore would do as well, but some runtimes take them apart into single elements.
#if WIDTH == 1 || ACCESS == ALIGNED
#define LOAD(p) (*(__global const vec *)(p))
#define STORE(x, p) (*(__global vec *)(p) = (x))
#elif ACCESS == VLOAD
#define LOAD(p) PASTE(vload, WIDTH)(0, p)
#define STORE(x, p) PASTE(vstore, WIDTH)(x, 0, p)
#else
typedef struct __attribute__((packed)) { vec v; } unaligned;
#define LOAD(p) (((__global const unaligned *)(p))->v)
#define STORE(x, p) (((__global unaligned *)(p))->v = (x))
#endif

// Elements i .. i+WIDTH-1 of p; zeros from n on.
vec load(__global const real *p, ulong i, ulong n) {
  if (i + WIDTH <= n) return LOAD(p + i);
  union { vec v; real e[WIDTH]; } u;
  u.v = (vec)(0);
  for (int j = 0; j < WIDTH; j++)
    if (i + j < n) u.e[j] = p[i + j];
  return u.v;
}

// The same elements; nothing is written from n on.
void store(vec x, __global real *p, ulong i, ulong n) {
  if (i + WIDTH <= n) {
    STORE(x, p + i);
    return;
  }
  union { vec v; real e[WIDTH]; } u;
  u.v = x;
  for (int j = 0; j < WIDTH; j++)
    if (i + j < n) p[i + j] = u.e[j];
}

// The vectors of a work-item of an elementwise kernel, one after another.
#define FOR_EACH_VECTOR(i, first, n) \
  for (ulong i = ((ulong)get_global_id(0) - first) * (WIDTH * STEPS), end_ = min(i + WIDTH * STEPS, n); i < end_; \
       i += WIDTH)

// sqrt of a vector. One runtime aborts on a builtin function of a 512-bit vector; two halves give the same bits.
#if WIDTH == 16 || (WIDTH == 8 && defined(DOUBLE))
#define SQRT(x) ((vec)(sqrt((x).lo), sqrt((x).hi)))
#else
#define SQRT(x) sqrt(x)
#endif

// The guard of the GLSL shader: a bias correction is divided by no less than this.
#ifdef DOUBLE
#define TINY 1e-12
#else
#define TINY 1e-12f
#endif

// What the products of products.cl are made of beside the gradient, and the numbers of step t-1 among a kernel's arguments.
#if (defined(GRAD_DIRECTION) || defined(DIRECTION_DIRECTION)) && !defined(KEPT)
#define DIRECTION
#endif
#if defined(DIRECTION) || defined(GRAD_BETA1_DERIVATIVE)
#define EXP_AVG_SQ
#endif
#if defined(EXP_AVG_SQ) || defined(GRAD_EXP_AVG)
#define EXP_AVG
#endif
#ifdef GRAD_BETA1_DERIVATIVE
#define LAST_BETA1 const real last_p, const real last_q,
#else
#define LAST_BETA1
#endif
#if !defined(EXP_AVG_SQ)
#define LAST_NUMBERS
#elif defined(SHADER)
#define LAST_NUMBERS LAST_BETA1 const real last_beta1_t, const real last_beta2_t, const real last_eps,
#else
#define LAST_NUMBERS LAST_BETA1 const real last_i1, const real last_i2, const real last_eps,
#endif

// With STOPPED an element that would not be finite keeps what it had, and is counted in that row of `out`. FINITE is 0
// for a number and NaN for the rest.
#define FINITE(x) ((x) - (x))
#ifdef STOPPED
#define STOP_UNLESS(finite) const mask stays = (finite) != 0; ADD(STOPPED, stays ? (vec)(1) : (vec)(0));
#define CHOOSE(after, before) (stays ? (before) : (after))
#else
#define STOP_UNLESS(finite)
#define CHOOSE(after, before) (after)
#endif

// The order of the sums: blocks of BLOCK elements, LANES accumulators, PARTS vectors of them. A kernel that sums is
// written once, for an item per block and for a group per block:
//
//   const ulong block = FIND_BLOCK(first);
//   if (block >= blocks) return;
//   DECLARE_SUMS(count)
//   FOR_EACH_PLACE(i, block, n) { ADD(r, product of the elements i .. i+WIDTH-1, for r < count); }
//   STORE_SUMS(count, out, block, blocks);    row r of `out` begins at r * blocks
#define BLOCK 4096
#define LANES 16

#ifndef GROUP

#define PARTS (LANES / WIDTH)
#define FIND_BLOCK(first) ((ulong)get_global_id(0) - first)
#define DECLARE_SUMS(count) \
  vec sum_[count][PARTS]; \
  for (int r = 0; r < count; r++) \
    for (int p = 0; p < PARTS; p++) sum_[r][p] = (vec)(0);
#define FOR_EACH_PLACE(i, block, n) \
  for (ulong row_ = block * BLOCK, end_ = min(block * BLOCK + BLOCK, n); row_ < end_; row_ += LANES) \
    _Pragma("unroll") for (ulong p_ = 0, i = row_; p_ < PARTS; p_++, i += WIDTH)
#define ADD(r, product) sum_[r][p_] += (product)
#define STORE_SUMS(count, out, block, blocks) \
  for (int r = 0; r < count; r++) out[r * blocks + block] = fold(sum_[r])

// lane i + lane i + w/2, for w = 16, 8, 4, 2
real fold(const vec *lanes) {
  union { vec v[PARTS]; real e[LANES]; } u;
  for (int p = 0; p < PARTS; p++) u.v[p] = lanes[p];
  for (int w = LANES / 2; w > 0; w /= 2)
    for (int j = 0; j < w; j++) u.e[j] += u.e[j + w];
  return u.e[0];
}

#else

// All items form products, CHUNK elements at a time; then item 16 r + l adds those of lane l of sum r, in their order.
// The products of 8 sums fit into 32 KB, which every device has.
#if COUNT > 7
#define CHUNK_BYTES 2048
#else
#define CHUNK_BYTES 4096
#endif
#define CHUNK (CHUNK_BYTES / sizeof(real))
#define STRIDE (CHUNK + LANES)  // the lanes of two sums lie in different banks of the local memory
#define FIND_BLOCK(first) (((ulong)get_global_id(0) - first) / GROUP)
#define DECLARE_SUMS(count) \
  __local real products_[count * STRIDE] __attribute__((aligned(64))); \
  real lane_ = 0;
#define FOR_EACH_PLACE(i, block, n) \
  for (ulong chunk_ = block * BLOCK, end_ = min(block * BLOCK + BLOCK, n); chunk_ < end_; \
       lane_ = add_chunk(lane_, products_, sizeof(products_), min((ulong)CHUNK, end_ - chunk_)), chunk_ += CHUNK) \
    for (uint place_ = get_local_id(0) * WIDTH, left_ = min((ulong)CHUNK, ROUND_UP(end_) - chunk_); place_ < left_; \
         place_ += GROUP * WIDTH) \
      for (ulong i = chunk_ + place_, once_ = 1; once_; once_ = 0)
#define ROUND_UP(end) ((end + LANES - 1) / LANES * LANES)
#define ADD(r, product) *(__local vec *)(products_ + (r) * STRIDE + place_) = (product)
#define STORE_SUMS(count, out, block, blocks) \
  { \
    const real sum_ = fold_lanes(lane_, products_); \
    const uint r_ = get_local_id(0) / LANES; \
    if (r_ < count && get_local_id(0) % LANES == 0) out[r_ * blocks + block] = sum_; \
  }

real add_chunk(real lane, __local const real *products, uint bytes, uint elements) {
  const uint place = get_local_id(0) / LANES * STRIDE + get_local_id(0) % LANES;
  barrier(CLK_LOCAL_MEM_FENCE);  // the products are there
  if (place < bytes / sizeof(real))
    for (uint row = 0; row < elements; row += LANES) lane += products[place + row];
  barrier(CLK_LOCAL_MEM_FENCE);  // and have been read
  return lane;
}

// lane i + lane i + w/2, for w = 16, 8, 4, 2; right in the first item of each sum. GROUP numbers fit into `memory`.
real fold_lanes(real lane, __local real *memory) {
  const uint item = get_local_id(0);
  memory[item] = lane;
  for (uint w = LANES / 2; w; w /= 2) {
    barrier(CLK_LOCAL_MEM_FENCE);
    if (item % LANES < w) memory[item] += memory[item + w];
  }
  return memory[item];
}

#endif

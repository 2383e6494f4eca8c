// The lane loops in C, as clang makes the most of them: the operations that Whorl's own are made of, on GROUPS vectors of 512 bits at once.
//
// setup.py compiles this file once for each GROUPS. A function gets the results of the script of its name, in order, as they are before the
// first step, and does one step; `n` is the length of the longest.

#include <immintrin.h>
#include <math.h>
#include <stdint.h>

#ifndef GROUPS
#define GROUPS 2
#endif

#define LANES (16 * GROUPS)

typedef float V __attribute__((ext_vector_type(LANES)));
typedef int32_t I __attribute__((ext_vector_type(LANES)));
typedef uint32_t U __attribute__((ext_vector_type(LANES)));
typedef float V16 __attribute__((ext_vector_type(16)));

#define INLINE static inline __attribute__((always_inline))
#define EACH(type, x) ((type)(x))

INLINE V load(const float *at) { V v; __builtin_memcpy(&v, at, sizeof v); return v; }
INLINE I load_int(const int32_t *at) { I v; __builtin_memcpy(&v, at, sizeof v); return v; }
INLINE void store(float *at, V v) { __builtin_memcpy(at, &v, sizeof v); }
INLINE void store_int(int32_t *at, I v) { __builtin_memcpy(at, &v, sizeof v); }
INLINE V muladd(V a, V b, V c) { return __builtin_elementwise_fma(a, b, c); }
INLINE V min(V a, V b) { return a < b ? a : b; }
INLINE V absolute(V x) { return (V)((U)x & EACH(U, 0x7fffffff)); }
INLINE V or_sign(V y, V x) { return (V)((U)y | ((U)x & EACH(U, 0x80000000))); }

// 16 lanes at a time, where there is no operator.
#define BY_SIXTEEN(out, in, of)                                                  \
    do {                                                                         \
        __m512 parts[sizeof(in) / 64];                                           \
        __builtin_memcpy(parts, &(in), sizeof(in));                              \
        for (unsigned k = 0; k < sizeof(in) / 64; k++) { of; }                   \
        __builtin_memcpy(&(out), parts, sizeof(in));                             \
    } while (0)

static const float EXP[5] = {0.4999999701976776f, 0.16666537523269653f, 0.04166774824261665f, 0.008367322385311127f, 0.001383730210363865f};
static const float SIN[4] = {-0.16666659712791443f, 0.00833306647837162f, -0.00019809440709650517f, 2.604940846e-06f};
#define LOG2_E 1.44269504088896340736f
#define MAGIC 12582912.0f
#define LN2_HIGH 0.6931471824645996f
#define LN2_LOW -1.9046542121259336e-09f

// runtime/kernels/src/math/exp.rs
#define DEFINE_EXP(name, V)                                                      \
    INLINE V name(V x) {                                                         \
        x = EACH(V, 89.0f) < x ? EACH(V, 89.0f) : x;                             \
        x = EACH(V, -104.0f) > x ? EACH(V, -104.0f) : x;                         \
        V shifted = __builtin_elementwise_fma(x, EACH(V, LOG2_E), EACH(V, MAGIC)); \
        V n = shifted - EACH(V, MAGIC);                                          \
        V r = __builtin_elementwise_fma(n, EACH(V, -LN2_HIGH), x);               \
        r = __builtin_elementwise_fma(n, EACH(V, -LN2_LOW), r);                  \
        V p = EACH(V, EXP[4]);                                                   \
        for (int k = 3; k >= 0; k--) p = __builtin_elementwise_fma(p, r, EACH(V, EXP[k])); \
        p = __builtin_elementwise_fma(p, r, EACH(V, 1.0f));                      \
        p = __builtin_elementwise_fma(p, r, EACH(V, 1.0f));                      \
        __m512 factors[sizeof(V) / 64];                                          \
        __builtin_memcpy(factors, &n, sizeof n);                                 \
        BY_SIXTEEN(p, p, parts[k] = _mm512_scalef_ps(parts[k], factors[k]));     \
        return p;                                                                \
    }
DEFINE_EXP(exponential, V)

INLINE V tangent(V x) {
    V a = min(EACH(V, 9.1f), absolute(x));
    V shifted = muladd(a, EACH(V, 2 * LOG2_E), EACH(V, MAGIC + 127));
    V r = muladd(shifted - EACH(V, MAGIC + 127), EACH(V, -LN2_HIGH / 2), a);
    V p = EACH(V, EXP[4] * 32);
    for (int k = 3; k >= 0; k--) p = muladd(p, r, EACH(V, EXP[k] * (2 << k)));
    p = muladd(r * r, p, r);
    V scale = (V)((U)shifted << 23);
    V h = muladd(scale, p, muladd(scale, EACH(V, 0.5f), EACH(V, -0.5f)));
    V y = h / (h + EACH(V, 1.0f));
    V refined = muladd(-h, y, h);
    y = h < EACH(V, 1.0f) ? refined : y;
    return or_sign(y, x);
}

void tanh_rows(void **at, long n) {
    const float *x = at[0];
    float *y = at[1];
    for (long i = 0; i < n; i += LANES) store(y + i, tangent(load(x + i)));
}

void exp_rows(void **at, long n) {
    const float *x = at[0];
    float *y = at[1];
    for (long i = 0; i < n; i += LANES) store(y + i, exponential(load(x + i)));
}

#define ROTATED(x, by) (((x) << (by)) | ((x) >> (32 - (by))))

// Both words of the block of (0, counter), to (x, y).
#define THREEFRY(type, key, x, y, counter)                                       \
    do {                                                                         \
        static const int rotations[2][4] = {{13, 15, 26, 6}, {17, 29, 16, 24}};  \
        x = EACH(type, key[0]), y = (counter) + EACH(type, key[1]);              \
        _Pragma("unroll") for (int group = 0; group < 5; group++) {              \
            _Pragma("unroll") for (int k = 0; k < 4; k++) {                      \
                x += y;                                                          \
                y = ROTATED(y, rotations[group % 2][k]) ^ x;                     \
            }                                                                    \
            x += EACH(type, key[(group + 1) % 3]);                               \
            y += EACH(type, key[(group + 2) % 3] + group + 1);                   \
        }                                                                        \
    } while (0)

// A word for each counter from the key of the step: both words of the block, combined.
void threefry_rows(void **at, long n) {
    const uint32_t k0 = *(uint32_t *)at[0], k1 = *(uint32_t *)at[1], of_run[3] = {k0, k1, 0x1bd11bda ^ k0 ^ k1};
    uint32_t *out = at[2], s0, s1;
    static volatile uint32_t step = 0;
    THREEFRY(uint32_t, of_run, s0, s1, step);
    const uint32_t key[3] = {s0, s1, 0x1bd11bda ^ s0 ^ s1};
    U counter;
    for (int k = 0; k < LANES; k++) counter[k] = k;
    for (long i = 0; i < n; i += LANES) {
        U x, y;
        THREEFRY(U, key, x, y, counter);
        x ^= y;
        __builtin_memcpy(out + i, &x, sizeof x);
        counter += EACH(U, LANES);
    }
}

INLINE V square_root(V x) {
    BY_SIXTEEN(x, x, parts[k] = _mm512_sqrt_ps(parts[k]));
    return x;
}

void adam_rows(void **at, long n) {
    float *params = at[0], *mean = at[1], *square = at[2];
    int32_t *count = at[3];
    const float *gradient = at[4];
    *count += 1;
    V correct1 = EACH(V, 1.0f / (1.0f - powf(0.9f, *count))), correct2 = EACH(V, 1.0f / (1.0f - powf(0.999f, *count)));
    for (long i = 0; i < n; i += LANES) {
        V g = load(gradient + i);
        V m = EACH(V, 0.9f) * load(mean + i) + EACH(V, 0.1f) * g;
        V v = EACH(V, 0.999f) * load(square + i) + EACH(V, 0.001f) * g * g;
        V by = square_root(correct2 * v) + EACH(V, 1e-8f);
        store(params + i, load(params + i) - EACH(V, 0.001f) * (correct1 * m) / by);
        store(mean + i, m);
        store(square + i, v);
    }
}

// Rows of 64: one at a time, four vectors that stay in registers; or as many as there are GROUPS.
typedef float Row __attribute__((ext_vector_type(64)));
DEFINE_EXP(exponential_row, Row)

#define TREE(v, fold, rotate)                                                    \
    v = fold(v, rotate(v, 8)); v = fold(v, rotate(v, 4));                        \
    v = fold(v, rotate(v, 2)); v = fold(v, rotate(v, 1))
#define ROTATE(v, by) (V16)_mm512_castsi512_ps(_mm512_alignr_epi32(_mm512_castps_si512((__m512)v), _mm512_castps_si512((__m512)v), by))
// NaN in either gives NaN.
INLINE V16 larger(V16 a, V16 b) { V16 more = a > b ? a : b; return a == a ? more : a; }
INLINE V16 sum(V16 a, V16 b) { return a + b; }

INLINE Row load_row(const float *at) { Row v; __builtin_memcpy(&v, at, sizeof v); return v; }
INLINE V16 quarter(Row x, int k) { V16 q[4]; __builtin_memcpy(q, &x, sizeof x); return q[k]; }

void softmax_rows(void **at, long n) {
    const float *x = at[0];
    float *y = at[1];
    for (long i = 0; i < n / 64; i += GROUPS) {
        for (int g = 0; g < GROUPS; g++) {
            Row row = load_row(x + 64 * (i + g));
            V16 most = quarter(row, 0);
            for (int k = 1; k < 4; k++) most = larger(most, quarter(row, k));
            TREE(most, larger, ROTATE);
            row = exponential_row(row - EACH(Row, most[0]));
            V16 total = quarter(row, 0);
            for (int k = 1; k < 4; k++) total = sum(total, quarter(row, k));
            TREE(total, sum, ROTATE);
            row = row / EACH(Row, total[0]);
            __builtin_memcpy(y + 64 * (i + g), &row, sizeof row);
        }
    }
}

// runtime/kernels/src/math/trig.rs; arguments beyond PI_LIMIT, which are rare, are not computed here, but looked for.
INLINE V sin_of_remainder(V r) {
    V z = r * r, p = EACH(V, SIN[3]);
    for (int k = 2; k >= 0; k--) p = muladd(p, z, EACH(V, SIN[k]));
    return or_sign(muladd(z * r, p, r), r);
}

INLINE V subtract_pi(V x, V n) {
    V r = muladd(n, EACH(V, -3.141592502593994f), x);
    r = muladd(n, EACH(V, -1.5099578831723193e-07f), r);
    return muladd(n, EACH(V, -1.078060505991553e-14f), r);
}

INLINE V flip_if_odd(V y, V shifted) { return (V)((U)y ^ ((U)shifted << 31)); }

INLINE V sine(V x) {
    V shifted = muladd(x, EACH(V, 0.31830988618379067154f), EACH(V, MAGIC));
    V n = shifted - EACH(V, MAGIC);
    return flip_if_odd(sin_of_remainder(subtract_pi(x, n)), shifted);
}

INLINE V cosine(V x) {
    V shifted = muladd(x, EACH(V, 0.31830988618379067154f), EACH(V, -0.5f)) + EACH(V, MAGIC);
    V n = shifted - EACH(V, MAGIC) + EACH(V, 0.5f);
    return flip_if_odd(sin_of_remainder(-subtract_pi(x, n)), shifted);
}

INLINE void store_bool(uint8_t *at, I mask) {
    typedef uint8_t B __attribute__((ext_vector_type(LANES)));
    B bytes = __builtin_convertvector(mask, B) & EACH(B, 1);
    __builtin_memcpy(at, &bytes, sizeof bytes);
}

void cartpole_rows(void **at, long n) {
    const float *states = at[0];
    const int32_t *actions = at[1];
    float *next_x = at[2], *next_x_dot = at[3], *next_theta = at[4], *next_theta_dot = at[5], *reward = at[7];
    int32_t *next_time = at[6];
    uint8_t *terminated = at[8], *truncated = at[9];
    I far = EACH(I, 0);
    n /= 4;
    for (long i = 0; i < n; i += LANES) {
        V x = load(states + i), x_dot = load(states + n + i), theta = load(states + 2 * n + i);
        V theta_dot = load(states + 3 * n + i);
        I time = load_int(actions + i);
        V force = time == EACH(I, 1) ? EACH(V, 10.0f) : EACH(V, -10.0f);
        far |= EACH(V, 131072.0f) < absolute(theta);
        V cos_t = cosine(theta), sin_t = sine(theta), moment = EACH(V, 0.05f), tau = EACH(V, 0.02f);
        V push = (force + moment * theta_dot * theta_dot * sin_t) * EACH(V, 0.9090909f);
        V acc = (EACH(V, 9.8f) * sin_t - cos_t * push) / (EACH(V, 0.5f) * (EACH(V, 1.3333334f) - EACH(V, 0.090909086f) * cos_t * cos_t));
        V x_acc = push - EACH(V, 0.045454543f) * acc * cos_t;
        V new_x = x + tau * x_dot, new_theta = theta + tau * theta_dot;
        I new_time = time + EACH(I, 1);
        I failed = (absolute(new_x) > EACH(V, 2.4f)) | (absolute(new_theta) > EACH(V, 0.20943952f));
        I over = (absolute(x) > EACH(V, 2.4f)) | (absolute(theta) > EACH(V, 0.20943952f)) | (time >= EACH(I, 500));
        store(next_x + i, new_x);
        store(next_x_dot + i, x_dot + tau * x_acc);
        store(next_theta + i, new_theta);
        store(next_theta_dot + i, theta_dot + tau * acc);
        store_int(next_time + i, new_time);
        store(reward + i, over ? EACH(V, 0.0f) : EACH(V, 1.0f));
        store_bool(terminated + i, failed);
        store_bool(truncated + i, (new_time >= EACH(I, 500)) & ~failed);
    }
    if (__builtin_reduce_or(far)) __builtin_trap();
}

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

// The columns of the table of runtime/kernels/src/math/tanh.rs.
static const float TANH[8][32] = {
    {0.0f, 0.28732982f, 0.5736669f, 0.86193615f, 1.1493438f, 1.4362993f, 1.7235383f, 2.0094304f, 2.2946906f, 2.5830612f, 2.870159f, 3.1578822f, 3.4450996f, 3.7330596f, 4.017481f, 4.304263f, 4.5904994f, 4.8816733f, 5.1659827f, 5.4600663f, 5.739672f, 6.0252795f, 6.314098f, 6.608902f, 6.783739f, 7.1664734f, 7.465392f, 7.624619f, 7.9711924f, 8.317766f, 8.317766f, 8.66434f},
    {0.0f, 0.27967533f, 0.51804715f, 0.6972539f, 0.8175366f, 0.8929503f, 0.9382877f, 0.9646878f, 0.97988605f, 0.98865145f, 0.9935931f, 0.99639136f, 0.99796665f, 0.99885637f, 0.99935234f, 0.999635f, 0.99979407f, 0.99988496f, 0.99993485f, 0.9999638f, 0.9999793f, 0.9999883f, 0.99999344f, 0.99999636f, 0.99999744f, 0.9999988f, 0.99999934f, 0.9999995f, 0.99999976f, 0.9999999f, 0.9999999f, 0.99999994f},
    {1.0f, 0.9217817f, 0.73162717f, 0.51383704f, 0.33163393f, 0.20263976f, 0.11961623f, 0.0693774f, 0.03982332f, 0.022568302f, 0.0127727585f, 0.007204266f, 0.004062571f, 0.0022859608f, 0.0012949087f, 0.00072990445f, 0.0004118257f, 0.0002300607f, 0.0001302915f, 7.235873e-05f, 4.1365198e-05f, 2.3364884e-05f, 1.311298e-05f, 7.2717526e-06f, 5.1259926e-06f, 2.384184e-06f, 1.3113014e-06f, 9.536738e-07f, 4.768373e-07f, 2.3841854e-07f, 2.3841767e-07f, 1.1921009e-07f},
    {-7.716625e-08f, -0.2577995f, -0.3790174f, -0.35827485f, -0.27112287f, -0.18094724f, -0.11223444f, -0.06692754f, -0.039022315f, -0.022312183f, -0.012690923f, -0.007178267f, -0.0040543103f, -0.0022833452f, -0.001294071f, -0.0007296382f, -0.00041174135f, -0.00023003791f, -0.00013028321f, -7.235599e-05f, -4.1364736e-05f, -2.3364344e-05f, -1.311343e-05f, -7.271344e-06f, -5.125752e-06f, -2.384072e-06f, -1.3111396e-06f, -9.532482e-07f, -4.769202e-07f, -2.384097e-07f, -2.3839539e-07f, -1.1921716e-07f},
    {-0.33332568f, -0.23516117f, -0.047536794f, 0.078523815f, 0.111107886f, 0.094033144f, 0.065437645f, 0.041438863f, 0.024962887f, 0.014536062f, 0.008351933f, 0.0047509097f, 0.0026918817f, 0.001518724f, 0.00086158904f, 0.0004860685f, 0.00027437956f, 0.00015332142f, 8.684487e-05f, 4.8233906e-05f, 2.7574775e-05f, 1.5575839e-05f, 8.741857e-06f, 4.8477755e-06f, 3.4141367e-06f, 1.5894557e-06f, 8.7418755e-07f, 6.259048e-07f, 3.1826568e-07f, 1.5894567e-07f, 1.5872428e-07f, 7.949746e-08f},
    {-0.0002464426f, 0.1516763f, 0.15096736f, 0.06466903f, -0.0004592107f, -0.023648357f, -0.02398641f, -0.017665714f, -0.011453429f, -0.0069339816f, -0.0040683337f, -0.0023411904f, -0.001335006f, -0.0007560332f, -0.00042957297f, -0.00024266719f, -0.00013702846f, -7.618142e-05f, -4.3393036e-05f, -2.4127055e-05f, -1.374048e-05f, -7.817856e-06f, -4.3092205e-06f, -2.4729475e-06f, -1.6968944e-06f, -8.0599676e-07f, -4.5618108e-07f, -2.3482924e-07f, -1.4719072e-07f, -8.040362e-08f, -7.8391295e-08f, -3.9677914e-08f},
    {0.13680588f, 0.056340344f, -0.045048706f, -0.059357934f, -0.02934835f, -0.0059336163f, 0.0032447374f, 0.004738057f, 0.003789755f, 0.0025191053f, 0.001547954f, 0.0009118669f, 0.00052603736f, 0.00030112948f, 0.00017156555f, 9.704884e-05f, 5.489663e-05f, 3.0648956e-05f, 1.7356624e-05f, 9.660571e-06f, 5.537021e-06f, 3.1290956e-06f, 1.7495745e-06f, 9.712255e-07f, 6.8551265e-07f, 3.1922363e-07f, 1.7565338e-07f, -1.7132328e-07f, -4.3876028e-08f, 3.1887573e-08f, 2.8864681e-08f, 1.5290453e-08f},
    {-0.022314543f, -0.07045442f, -0.03507176f, 0.012037551f, 0.017960861f, 0.008982055f, 0.0023778738f, -0.00019604091f, -0.00075968023f, -0.00066417747f, -0.0004552007f, -0.00028017376f, -0.00016783619f, -9.4244686e-05f, -5.9498496e-05f, -3.2283504e-05f, -1.9491566e-05f, -2.3639064e-05f, -6.196362e-06f, -2.8193e-06f, -3.1778786e-06f, -1.8130952e-07f, -2.356799e-06f, 1.2583182e-06f, -2.6362963e-07f, 1.8014772e-07f, 5.0908903e-07f, 3.4880497e-07f, 2.2612213e-07f, 1.3786814e-08f, -6.301274e-09f, -3.7549706e-09f},
};

// The numbers of a column that the low bits of `at` name.
INLINE V looked_up(const float *column, I at) {
    V found;
    __m512i places[GROUPS];
    __builtin_memcpy(places, &at, sizeof at);
    __m512 low = _mm512_loadu_ps(column), high = _mm512_loadu_ps(column + 16), parts[GROUPS];
    for (int k = 0; k < GROUPS; k++) parts[k] = _mm512_permutex2var_ps(low, places[k], high);
    __builtin_memcpy(&found, parts, sizeof found);
    return found;
}

INLINE V tangent(V x) {
    V a = min(EACH(V, 9.05f), absolute(x));
    I at = (I)muladd(a, EACH(V, 3.48f), EACH(V, MAGIC));
    V d = a - looked_up(TANH[0], at), y = looked_up(TANH[7], at);
    for (int k = 6; k >= 1; k--) y = muladd(y, d, looked_up(TANH[k], at));
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

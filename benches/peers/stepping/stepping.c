// Stepping environments with random actions, written by hand: struct of arrays, one loop over the environments a step, which
// clang turns into vectors; each thread steps environments of its own, without waiting for the others.
//
//     stepping ENVIRONMENT ENVS STEPS THREADS
//
// The keys and draws are those of the Whorl scripts beside (threefry-2x32, 20 rounds), as are the elementary functions:
// sine and cosine by the same polynomial, without the branch for |x| > 131072. Prints the seconds of the steps, the mean of
// the rewards' sums and the mean of the last observations' sums.
//
// RESET_ALL (a macro) draws a new start for every environment in every step and selects, all in vectors; without it a
// second loop starts anew those that are done, one after the other.

#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef uint32_t u32;
typedef struct { u32 a, b; } key;
#define INLINE static inline __attribute__((always_inline))

INLINE u32 rotate(u32 x, int by) { return x << by | x >> (32 - by); }

// One of the keys into which a key is split; or its words as random bits.
INLINE key split(key k, u32 i) {
  u32 c = 0x1bd11bda ^ k.a ^ k.b, x = k.a, y = i + k.b;
#define ROUND(by) x += y, y = rotate(y, by) ^ x
#define GROUP_A ROUND(13); ROUND(15); ROUND(26); ROUND(6)
#define GROUP_B ROUND(17); ROUND(29); ROUND(16); ROUND(24)
  GROUP_A; x += k.b, y += c + 1;
  GROUP_B; x += c, y += k.a + 2;
  GROUP_A; x += k.a, y += k.b + 3;
  GROUP_B; x += k.b, y += c + 4;
  GROUP_A; x += c, y += k.a + 5;
  return (key){x, y};
}

INLINE u32 bits(key k, u32 i) { key w = split(k, i); return w.a ^ w.b; }

INLINE float uniform(key k, u32 i, float low, float high) {
  u32 word = bits(k, i) >> 9 | 0x3f800000;
  float u;
  memcpy(&u, &word, 4);
  u = (u - 1.0f) * (high - low) + low;
  return u > low ? u : low;
}

// From 0 up to n, as JAX draws it: 64 bits modulo n.
INLINE int randint(key k, u32 n) {
  u32 root = 65536 % n, multiplier = root * root % n;
  return (bits(split(k, 0), 0) % n * multiplier + bits(split(k, 1), 0) % n) % n;
}

INLINE float sin_of_remainder(float r) {
  float z = r * r;
  float p = 2.604940846e-06f;
  p = p * z + -1.980944071e-04f;
  p = p * z + 8.333066478e-03f;
  p = p * z + -1.666665971e-01f;
  return z * r * p + r;
}

INLINE float flip_if_odd(float y, float shifted) {
  u32 a, b;
  memcpy(&a, &shifted, 4), memcpy(&b, &y, 4);
  b ^= a << 31;
  memcpy(&y, &b, 4);
  return y;
}

INLINE float subtract_pi(float x, float n) {
  return x - n * 3.1415925f - n * 1.5099578832e-07f - n * 1.078060506e-14f;
}

#define MAGIC 12582912.0f

INLINE float sine(float x) {
  float shifted = x * 0.31830987f + MAGIC;
  return flip_if_odd(sin_of_remainder(subtract_pi(x, shifted - MAGIC)), shifted);
}

INLINE float cosine(float x) {
  float shifted = x * 0.31830987f - 0.5f + MAGIC;
  return flip_if_odd(sin_of_remainder(-subtract_pi(x, shifted - MAGIC + 0.5f)), shifted);
}

INLINE float clamp(float x, float low, float high) { return x < low ? low : x > high ? high : x; }
INLINE float wrap(float x) { return x - 6.2831855f * floorf(x * 0.15915494f + 0.5f); }

// Up to four numbers of a state, and the steps so far.
typedef struct { float a, b, c, d; int time; } state;
typedef struct { state next; float reward; int done; } outcome;

INLINE state reset_cartpole(key k) {
  return (state){uniform(k, 0, -0.05f, 0.05f), uniform(k, 1, -0.05f, 0.05f), uniform(k, 2, -0.05f, 0.05f),
                 uniform(k, 3, -0.05f, 0.05f), 0};
}

INLINE outcome step_cartpole(state s, key k) {
  float force = randint(k, 2) == 1 ? 10.0f : -10.0f;
  float cos_t = cosine(s.c), sin_t = sine(s.c);
  float push = (force + 0.05f * s.d * s.d * sin_t) * (1.0f / 1.1f);
  float theta_acc = (9.8f * sin_t - cos_t * push) / (0.5f * (4.0f / 3.0f - 0.1f / 1.1f * cos_t * cos_t));
  float x_acc = push - 0.05f / 1.1f * theta_acc * cos_t;
  state n = {s.a + 0.02f * s.b, s.b + 0.02f * x_acc, s.c + 0.02f * s.d, s.d + 0.02f * theta_acc, s.time + 1};
  int failed = (fabsf(n.a) > 2.4f) | (fabsf(n.c) > 0.20943951f);
  int before = (fabsf(s.a) > 2.4f) | (fabsf(s.c) > 0.20943951f) | (s.time >= 500);
  return (outcome){n, before ? 0.0f : 1.0f, failed | (n.time >= 500)};
}

INLINE float observe_cartpole(state s) { return s.a + s.b + s.c + s.d; }

INLINE state reset_pendulum(key k) {
  return (state){3.1415927f * uniform(k, 0, -1, 1), uniform(k, 1, -1, 1), 0, 0, 0};
}

INLINE outcome step_pendulum(state s, key k) {
  float torque = clamp(uniform(k, 0, -2, 2), -2, 2), angle = wrap(s.a);
  float cost = angle * angle + 0.1f * s.b * s.b + 0.001f * torque * torque;
  float speed = clamp(s.b + 0.05f * (15.0f * sine(s.a) + 3.0f * torque), -8, 8);
  state n = {s.a + 0.05f * speed, speed, 0, 0, s.time + 1};
  return (outcome){n, -cost, n.time >= 200};
}

INLINE float observe_pendulum(state s) { return cosf(s.a) + sinf(s.a) + s.b; }

INLINE state reset_acrobot(key k) {
  return (state){uniform(k, 0, -0.1f, 0.1f), uniform(k, 1, -0.1f, 0.1f), uniform(k, 2, -0.1f, 0.1f),
                 uniform(k, 3, -0.1f, 0.1f), 0};
}

INLINE state derivative(state m, float elbow) {
  float cos_2 = cosine(m.b), sin_2 = sine(m.b);
  float d1 = 3.5f + cos_2, d2 = 1.25f + 0.5f * cos_2;
  float phi_2 = 4.9f * sine(m.a + m.b);
  float phi_1 = 14.7f * sine(m.a) + phi_2 - 0.5f * m.d * (m.d + 2.0f * m.c) * sin_2;
  float per_d1 = 1.0f / d1, ratio = d2 * per_d1;
  float acc_2 = (elbow + ratio * phi_1 - 0.5f * m.c * m.c * sin_2 - phi_2) / (1.25f - ratio * d2);
  float acc_1 = -(d2 * acc_2 + phi_1) * per_d1;
  return (state){m.c, m.d, acc_1, acc_2, 0};
}

INLINE state ahead(state m, float h, state k) {
  return (state){m.a + h * k.a, m.b + h * k.b, m.c + h * k.c, m.d + h * k.d, m.time};
}

INLINE outcome step_acrobot(state s, key k) {
  float elbow = randint(k, 3) - 1;
  state k1 = derivative(s, elbow), k2 = derivative(ahead(s, 0.1f, k1), elbow);
  state k3 = derivative(ahead(s, 0.1f, k2), elbow), k4 = derivative(ahead(s, 0.2f, k3), elbow);
#define RK(f) (s.f + 0.2f / 6.0f * (k1.f + 2.0f * k2.f + 2.0f * k3.f + k4.f))
  state n = {wrap(RK(a)), wrap(RK(b)), clamp(RK(c), -12.566371f, 12.566371f), clamp(RK(d), -28.274334f, 28.274334f),
             s.time + 1};
  int high = -cosine(n.a) - cosine(n.a + n.b) > 1.0f;
  return (outcome){n, high ? 0.0f : -1.0f, high | (n.time >= 500)};
}

INLINE float observe_acrobot(state s) { return cosf(s.a) + sinf(s.a) + cosf(s.b) + sinf(s.b) + s.c + s.d; }

INLINE state reset_mountain_car(key k) { return (state){uniform(k, 0, -0.6f, -0.4f), 0, 0, 0, 0}; }

INLINE outcome step_mountain_car(state s, key k) {
  float push = 0.001f * (randint(k, 3) - 1);
  float v = clamp(s.b + push - 0.0025f * cosine(3.0f * s.a), -0.07f, 0.07f);
  float x = clamp(s.a + v, -1.2f, 0.6f);
  v = x == -1.2f && v < 0.0f ? 0.0f : v;
  return (outcome){{x, v, 0, 0, s.time + 1}, -1.0f, (x >= 0.5f && v >= 0.0f) | (s.time + 1 >= 200)};
}

INLINE float observe_mountain_car(state s) { return s.a + s.b; }

// The environments from..to of all, and their sums.
typedef struct {
  key reset, run;
  long from, to, steps;
  float *restrict a, *restrict b, *restrict c, *restrict d, *restrict rewards;
  int *restrict time;
  uint8_t *restrict done;
  float observations;
} part;

#ifdef RESET_ALL
#define AFTER(NAME, p, k) p.done ? reset_##NAME(split(split(k, 1), 1)) : p.next
#else
#define AFTER(NAME, p, k) p.next
#endif

#define ENVIRONMENT(NAME, FOUR)                                                                                        \
  INLINE state load_##NAME(part *p, long i) {                                                                          \
    return (state){p->a[i], p->b[i], FOUR ? p->c[i] : 0, FOUR ? p->d[i] : 0, p->time[i]};                              \
  }                                                                                                                    \
  INLINE void store_##NAME(part *p, long i, state s) {                                                                 \
    p->a[i] = s.a, p->b[i] = s.b, p->time[i] = s.time;                                                                 \
    if (FOUR) p->c[i] = s.c, p->d[i] = s.d;                                                                            \
  }                                                                                                                    \
  __attribute__((noinline)) static void one_##NAME(part q, key now) {                                                  \
    part *p = &q;                                                                                                      \
    float *restrict rewards = q.rewards;                                                                               \
    uint8_t *restrict done = q.done;                                                                                   \
    _Pragma("clang loop vectorize(assume_safety)") for (long i = q.from; i < q.to; i++) {                              \
      key k = split(now, i);                                                                                           \
      outcome o = step_##NAME(load_##NAME(p, i), split(k, 0));                                                         \
      rewards[i] += o.reward;                                                                                          \
      done[i] = o.done;                                                                                                \
      store_##NAME(p, i, AFTER(NAME, o, k));                                                                           \
    }                                                                                                                  \
  }                                                                                                                    \
  static void *run_##NAME(void *argument) {                                                                            \
    part *p = argument;                                                                                                \
    for (long i = p->from; i < p->to; i++) store_##NAME(p, i, reset_##NAME(split(p->reset, i))), p->rewards[i] = 0;    \
    for (long t = 0; t < p->steps; t++) {                                                                              \
      key now = split(p->run, t);                                                                                      \
      one_##NAME(*p, now);                                                                                             \
      RESETS(NAME)                                                                                                     \
    }                                                                                                                  \
    for (long i = p->from; i < p->to; i++) p->observations += observe_##NAME(load_##NAME(p, i));                       \
    return NULL;                                                                                                       \
  }

#ifdef RESET_ALL
#define RESETS(NAME)
#else
#define RESETS(NAME)                                                                                                   \
  for (long i = p->from; i < p->to; i++)                                                                               \
    if (p->done[i]) store_##NAME(p, i, reset_##NAME(split(split(split(now, i), 1), 1)));
#endif

ENVIRONMENT(cartpole, 1)
ENVIRONMENT(pendulum, 0)
ENVIRONMENT(acrobot, 1)
ENVIRONMENT(mountain_car, 0)

int main(int argc, char **argv) {
  if (argc != 5) return fprintf(stderr, "usage: stepping ENVIRONMENT ENVS STEPS THREADS\n"), 2;
  void *(*run)(void *) = !strcmp(argv[1], "cartpole") ? run_cartpole
                       : !strcmp(argv[1], "pendulum") ? run_pendulum
                       : !strcmp(argv[1], "acrobot") ? run_acrobot
                       : !strcmp(argv[1], "mountain_car") ? run_mountain_car : NULL;
  if (!run) return fprintf(stderr, "no environment %s\n", argv[1]), 2;
  long envs = atol(argv[2]), steps = atol(argv[3]), threads = atol(argv[4]);
  key root = {0, 0};
  part whole = {split(root, 0), split(root, 1), 0, envs, steps};
  float **arrays[] = {(float **)&whole.a, (float **)&whole.b, (float **)&whole.c, (float **)&whole.d, (float **)&whole.rewards};
  for (int i = 0; i < 5; i++) *arrays[i] = aligned_alloc(64, (envs * 4 + 63) & -64);
  whole.time = aligned_alloc(64, (envs * 4 + 63) & -64);
  whole.done = aligned_alloc(64, (envs + 63) & -64);

  struct timespec before, after;
  clock_gettime(CLOCK_MONOTONIC, &before);
  pthread_t thread[threads];
  part parts[threads];
  for (long t = 0; t < threads; t++) {
    parts[t] = whole;
    parts[t].from = envs * t / threads, parts[t].to = envs * (t + 1) / threads;
    pthread_create(&thread[t], NULL, run, &parts[t]);
  }
  double rewards = 0, observations = 0;
  for (long t = 0; t < threads; t++) pthread_join(thread[t], NULL), observations += parts[t].observations;
  for (long i = 0; i < envs; i++) rewards += whole.rewards[i];
  clock_gettime(CLOCK_MONOTONIC, &after);
  double seconds = after.tv_sec - before.tv_sec + 1e-9 * (after.tv_nsec - before.tv_nsec);
  printf("%.9f %.9g %.9g\n", seconds, rewards / envs, observations / envs);
}

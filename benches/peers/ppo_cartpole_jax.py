"""PPO on CartPole-v1 in JAX, with the libraries and defaults of PureJaxRL (github.com/luchris429/purejaxrl, ppo.py).

The peer that `run.py` times Whorl against. The algorithm, network, key discipline and optimiser are PureJaxRL's, so the
arithmetic per environment step is the same; the text is our own. The whole training loop is one compiled function,
vmapped over seeds.

Prints one JSON object: trace_s, compile_s, run_s, env_steps, steps_per_s and the final return of each seed (the mean of
the episodes that ended in the last 5 % of the updates).
"""

import argparse
import json
import os
import time
from typing import NamedTuple


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=1, help="independent runs, vmapped")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--total-steps", type=int, default=500_000, help="environment steps a seed")
    parser.add_argument("--n-envs", type=int, default=4, help="environments a seed")
    parser.add_argument("--n-steps", type=int, default=128, help="steps a rollout")
    parser.add_argument("--minibatches", type=int, default=4, help="minibatches an epoch")
    parser.add_argument("--cores", type=int, default=1, help="pin to this many cores (0: leave the affinity alone)")
    parser.add_argument("--no-anneal", action="store_true", help="keep the step size constant")
    parser.add_argument("--repeat", type=int, default=1, help="timed runs of the compiled function; the fastest counts")
    return parser.parse_args()


EPOCHS = 4
LR, GAMMA, LAMBDA, CLIP = 2.5e-4, 0.99, 0.95, 0.2
ENTROPY_COEF, VALUE_COEF, MAX_GRAD_NORM = 0.01, 0.5, 0.5


def make_train(args):
    import distrax
    import flax.linen as nn
    import gymnax
    import jax
    import jax.numpy as jnp
    import optax
    from flax.linen.initializers import orthogonal

    n_envs, n_steps, minibatches = args.n_envs, args.n_steps, args.minibatches
    n_updates = args.total_steps // (n_envs * n_steps)
    env, env_params = gymnax.make("CartPole-v1")

    class Network(nn.Module):
        """Policy and value, two towers of their own."""

        @nn.compact
        def __call__(self, obs):
            def tower(outputs, scale):
                h = nn.tanh(nn.Dense(64, kernel_init=orthogonal(2**0.5))(obs))
                h = nn.tanh(nn.Dense(64, kernel_init=orthogonal(2**0.5))(h))
                return nn.Dense(outputs, kernel_init=orthogonal(scale))(h)

            logits = tower(env.num_actions, 0.01)
            return distrax.Categorical(logits=logits), tower(1, 1.0)[..., 0]

    class Episode(NamedTuple):
        """What PureJaxRL's LogWrapper keeps of an environment."""

        reward: jax.Array
        length: jax.Array
        last_return: jax.Array
        last_length: jax.Array

    class Step(NamedTuple):
        obs: jax.Array
        action: jax.Array
        log_prob: jax.Array
        value: jax.Array
        reward: jax.Array
        done: jax.Array
        last_return: jax.Array

    network = Network()

    def step_size(count):
        return LR * (1 - (count // (minibatches * EPOCHS)) / n_updates)

    optimizer = optax.chain(
        optax.clip_by_global_norm(MAX_GRAD_NORM),
        optax.adam(LR if args.no_anneal else step_size, eps=1e-5),
    )

    def env_step(key, state, episode, action):
        obs, state, reward, done, _ = env.step(key, state, action, env_params)
        reward_sum, length = episode.reward + reward, episode.length + 1
        episode = Episode(
            reward_sum * (1 - done),
            length * (1 - done),
            jnp.where(done, reward_sum, episode.last_return),
            jnp.where(done, length, episode.last_length),
        )
        return obs, state, episode, reward, done

    def act(carry, _):
        params, env_state, episode, obs, key = carry
        key, sample_key = jax.random.split(key)
        policy, value = network.apply(params, obs)
        action = policy.sample(seed=sample_key)
        log_prob = policy.log_prob(action)
        key, step_key = jax.random.split(key)
        step_keys = jax.random.split(step_key, n_envs)
        next_obs, env_state, episode, reward, done = jax.vmap(env_step)(step_keys, env_state, episode, action)
        step = Step(obs, action, log_prob, value, reward, done, episode.last_return)
        return (params, env_state, episode, next_obs, key), step

    def advantages(steps, last_value):
        def backward(carry, step):
            advantage, next_value = carry
            delta = step.reward + GAMMA * next_value * (1 - step.done) - step.value
            advantage = delta + GAMMA * LAMBDA * (1 - step.done) * advantage
            return (advantage, step.value), advantage

        start = (jnp.zeros_like(last_value), last_value)
        return jax.lax.scan(backward, start, steps, reverse=True, unroll=16)[1]

    def loss(params, steps, advantage, target):
        policy, value = network.apply(params, steps.obs)
        ratio = jnp.exp(policy.log_prob(steps.action) - steps.log_prob)
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        actor = -jnp.minimum(ratio * advantage, jnp.clip(ratio, 1 - CLIP, 1 + CLIP) * advantage).mean()
        near = steps.value + jnp.clip(value - steps.value, -CLIP, CLIP)
        critic = 0.5 * jnp.maximum((value - target) ** 2, (near - target) ** 2).mean()
        return actor + VALUE_COEF * critic - ENTROPY_COEF * policy.entropy().mean()

    def learn(carry, minibatch):
        params, opt_state = carry
        value, gradient = jax.value_and_grad(loss)(params, *minibatch)
        delta, opt_state = optimizer.update(gradient, opt_state, params)
        return (optax.apply_updates(params, delta), opt_state), value

    def update(carry, _):
        params, opt_state, env_state, episode, obs, key = carry
        rollout = (params, env_state, episode, obs, key)
        (_, env_state, episode, obs, key), steps = jax.lax.scan(act, rollout, None, n_steps)
        advantage = advantages(steps, network.apply(params, obs)[1])
        batch = (steps, advantage, advantage + steps.value)
        size = n_envs * n_steps

        def epoch(carry, _):
            params, opt_state, key = carry
            key, shuffle_key = jax.random.split(key)
            order = jax.random.permutation(shuffle_key, size)

            def shuffled(x):
                x = jnp.take(x.reshape((size,) + x.shape[2:]), order, axis=0)
                return x.reshape((minibatches, -1) + x.shape[1:])

            (params, opt_state), losses = jax.lax.scan(learn, (params, opt_state), jax.tree.map(shuffled, batch))
            return (params, opt_state, key), losses

        (params, opt_state, key), losses = jax.lax.scan(epoch, (params, opt_state, key), None, EPOCHS)
        record = (steps.last_return, steps.done, losses)
        return (params, opt_state, env_state, episode, obs, key), record

    def train(key):
        key, init_key = jax.random.split(key)
        params = network.init(init_key, jnp.zeros(4))
        key, reset_key = jax.random.split(key)
        obs, env_state = jax.vmap(env.reset, in_axes=(0, None))(jax.random.split(reset_key, n_envs), env_params)
        key, run_key = jax.random.split(key)
        zeros = jnp.zeros(n_envs)
        episode = Episode(zeros, zeros.astype(jnp.int32), zeros, zeros.astype(jnp.int32))
        carry = (params, optimizer.init(params), env_state, episode, obs, run_key)
        return jax.lax.scan(update, carry, None, n_updates)

    return train, n_updates


def main():
    args = arguments()
    if args.cores:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: args.cores])
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    import jax
    import numpy as np

    jax.tree_map = jax.tree.map  # gymnax 0.0.8 still calls it by the name that JAX has removed

    train, n_updates = make_train(args)
    keys = jax.random.split(jax.random.PRNGKey(args.seed), args.seeds)
    many = args.seeds > 1
    function = jax.jit(jax.vmap(train) if many else train)
    keys = keys if many else keys[0]

    start = time.perf_counter()
    lowered = function.lower(keys)
    trace_s = time.perf_counter() - start
    compiled = lowered.compile()
    compile_s = time.perf_counter() - start - trace_s

    run_s = float("inf")
    for _ in range(args.repeat):
        start = time.perf_counter()
        _, (returns, done, _losses) = jax.block_until_ready(compiled(keys))
        run_s = min(run_s, time.perf_counter() - start)

    shape = (args.seeds, n_updates, args.n_steps, args.n_envs)
    returns, done = np.asarray(returns).reshape(shape), np.asarray(done).reshape(shape)
    tail = slice(n_updates - max(1, n_updates // 20), None)
    final = [float(returns[i, tail][done[i, tail]].mean()) for i in range(args.seeds)]
    env_steps = args.seeds * n_updates * args.n_steps * args.n_envs
    print(json.dumps({
        "trace_s": round(trace_s, 3),
        "compile_s": round(compile_s, 3),
        "run_s": round(run_s, 3),
        "env_steps": env_steps,
        "steps_per_s": round(env_steps / run_s),
        "final_return": [round(x, 1) for x in final],
    }))


if __name__ == "__main__":
    main()

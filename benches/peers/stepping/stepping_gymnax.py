"""Stepping gymnax environments with random actions under JAX: one compiled scan over steps, `vmap` over environments, gymnax's
own auto-reset. The rewards are summed in every environment; nothing is stacked, and what is returned is two means.

    python stepping_gymnax.py ENVIRONMENT ENVS STEPS [--repeats 3]

Prints a line of JSON: the seconds of each repeat, without compilation, and the two means.
"""

import argparse
import json
import time

import jax
import jax.numpy as jnp

# gymnax 0.0.8 calls what later versions of JAX have moved.
if not hasattr(jax, "tree_map"):
    jax.tree_map = jax.tree_util.tree_map

import gymnax  # noqa: E402

NAMES = {
    "cartpole": "CartPole-v1",
    "pendulum": "Pendulum-v1",
    "acrobot": "Acrobot-v1",
    "mountain_car": "MountainCar-v0",
}


def program(name, envs, steps):
    env, params = gymnax.make(NAMES[name])
    actions = env.action_space(params)

    def one(key, state):
        k_action, k_step = jax.random.split(key)
        observation, state, reward, _, _ = env.step(k_step, state, actions.sample(k_action), params)
        return observation, state, reward

    def step(carry, key):
        _, states, rewards = carry
        observations, states, reward = jax.vmap(one)(jax.random.split(key, envs), states)
        return (observations, states, rewards + reward), None

    def run(key):
        k_reset, k_run = jax.random.split(key)
        observations, states = jax.vmap(env.reset, in_axes=(0, None))(jax.random.split(k_reset, envs), params)
        start = (observations, states, jnp.zeros(envs))
        (observations, _, rewards), _ = jax.lax.scan(step, start, jax.random.split(k_run, steps))
        return jnp.mean(rewards), jnp.mean(jnp.sum(observations, axis=1))

    return jax.jit(run)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("envs", type=int)
    parser.add_argument("steps", type=int)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    run = program(args.name, args.envs, args.steps)
    jax.block_until_ready(run(jax.random.key(0)))
    seconds = []
    for _ in range(args.repeats):
        before = time.perf_counter()
        results = jax.block_until_ready(run(jax.random.key(0)))
        seconds.append(time.perf_counter() - before)
    print(json.dumps({"seconds": seconds, "rewards": float(results[0]), "observations": float(results[1])}))


if __name__ == "__main__":
    main()

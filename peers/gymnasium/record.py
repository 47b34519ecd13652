"""Records steps of Gymnasium's classic control tasks, which the tasks of `kandela-evals dqn` are tested against.

usage: python peers/gymnasium/record.py > crates/platform/evals/tests/fixtures/gymnasium.json

Needs gymnasium and numpy: peers/install clients.
"""

import json

import gymnasium
import numpy

# Policies that reach the end of each task, with a share of random actions so that all of them occur.
TASKS = {
    "cartpole": ("CartPole-v1", lambda state: int(state[2] + state[3] > 0)),
    "acrobot": ("Acrobot-v1", lambda state: 2 if state[3] > 0 else 0),
    "mountaincar": ("MountainCar-v0", lambda state: 2 if state[1] >= 0 else 0),
}
RANDOM_SHARE = 0.3
EPISODES = 4
EVERY = 7


def steps(environment, policy, draw):
    """Every seventh step of a few episodes, and each that ended one."""
    task = environment.unwrapped
    for episode in range(EPISODES):
        environment.reset(seed=episode)
        terminated = truncated = False
        count = 0
        while not (terminated or truncated):
            state = [float(x) for x in task.state]
            explores = draw.random() < RANDOM_SHARE
            action = int(draw.integers(task.action_space.n)) if explores else policy(state)
            observation, reward, terminated, truncated, _ = environment.step(action)
            if terminated or count % EVERY == 0:
                yield {
                    "state": state,
                    "action": action,
                    "next": [float(x) for x in task.state],
                    "observation": [float(x) for x in observation],
                    "reward": float(reward),
                    "terminated": bool(terminated),
                }
            count += 1


def limit(environment):
    """How many steps there are before an episode is cut off; the state is put back, so that nothing else ends it."""
    environment.reset(seed=0)
    start = environment.unwrapped.state
    count = 0
    truncated = False
    while not truncated:
        environment.unwrapped.state = start
        truncated = environment.step(0)[3]
        count += 1
    return count


def starts(environment):
    """Least and greatest of each coordinate over many resets."""
    states = []
    for seed in range(1000):
        environment.reset(seed=seed)
        states.append([float(x) for x in environment.unwrapped.state])
    return {"least": numpy.min(states, axis=0).tolist(), "greatest": numpy.max(states, axis=0).tolist()}


def main():
    tasks = {}
    for name, (known_as, policy) in TASKS.items():
        environment = gymnasium.make(known_as)
        tasks[name] = {
            "limit": limit(environment),
            "starts": starts(environment),
            "steps": list(steps(environment, policy, numpy.random.default_rng(1))),
        }
    print(json.dumps({"gymnasium": gymnasium.__version__, "tasks": tasks}, separators=(",", ":")))


if __name__ == "__main__":
    main()

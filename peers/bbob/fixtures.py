"""Writes what the reference implementation of BBOB says at a few points: one JSON object a line.

    ~/.cache/kandela/venv/bin/python peers/bbob/fixtures.py > crates/platform/evals/testdata/bbob.jsonl
"""

import json
import random

import cocoex

for function in range(1, 25):
    for dimension in (2, 3, 5, 10):
        for instance in (1, 2, 7):
            problem = cocoex.BareProblem("bbob", function, dimension, instance)
            draw = random.Random(1000 * function + 10 * dimension + instance)
            # Wider than the domain, so that penalties count too.
            points = [[round(draw.uniform(-6, 6), 6) for _ in range(dimension)] for _ in range(3)]
            print(
                json.dumps(
                    {
                        "function": function,
                        "dimension": dimension,
                        "instance": instance,
                        "lowest": problem.best_value(),
                        "points": points,
                        "values": [float(problem(point)) for point in points],
                    }
                )
            )

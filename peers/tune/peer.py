#!/usr/bin/env python3
"""Other people's optimisers behind Kandela's ask-and-tell protocol: JSON lines on standard input and output.

    {"space": {...}, "seed": N, "budget": N, "strategy": NAME}      the first line; it has no answer
    {"ask": k}                  -> {"trials": [{"id": 0, "config": {...}}]}
    {"tell": [{"id": 0, "value": 1.5, "feasible": true}]}
                                -> {"best": {"id": 0, "config": {...}, "value": 1.5}}, or {"best": null}

Values are minimised; a trial that failed is told with the value null. What can't be done is answered with {"error": "..."}, and
ends the peer. Where a library takes one trial at a time, {"ask": k} gives one.

`best` is what a user of the library would take: its own recommendation where it has one (its id is null unless it was measured),
else the lowest value seen. Spaces that are mixed are given as each library wants them; pycma and dlib get words as whole numbers,
as their users do, COBYQA and L-BFGS-B refuse what is no real number.

    peer.py --list      prints the strategies
"""

import json
import math
import os
import queue
import random
import sys
import threading
import warnings

warnings.filterwarnings("ignore")


class Refused(Exception):
    """What can't be done, in words for the one who asked."""


class Parameter:
    """One knob. `low` to `high` are the ends of its own scale; a whole number owns half a unit on either side."""

    def __init__(self, name, shown):
        self.name, self.kind = name, shown["type"]
        self.log = bool(shown.get("log", False))
        self.default = shown.get("default")
        self.when = shown.get("when")
        if self.kind in ("int", "float"):
            self.min, self.max = shown["min"], shown["max"]
            half = 0.5 if self.kind == "int" else 0.0
            ends = (self.min - half, self.max + half)
            self.low, self.high = map(math.log, ends) if self.log else ends
        else:
            self.values = [False, True] if self.kind == "bool" else shown["values"]
            self.low, self.high = 0.0, float(len(self.values))

    def categorical(self):
        return self.kind in ("bool", "enum")

    def at(self, u):
        """The value at u of 0 to 1 on the parameter's own scale."""
        on_scale = self.low + min(max(u, 0.0), 1.0) * (self.high - self.low)
        if self.categorical():
            return self.values[min(int(on_scale), len(self.values) - 1)]
        number = math.exp(on_scale) if self.log else on_scale
        number = min(max(number, self.min), self.max)
        return min(max(round(number), self.min), self.max) if self.kind == "int" else number

    def coordinate(self, value):
        if self.categorical():
            on_scale = self.values.index(value) + 0.5
        else:
            on_scale = math.log(value) if self.log else value
        return (on_scale - self.low) / (self.high - self.low) if self.high > self.low else 0.5


class Space:
    def __init__(self, shown):
        free = {name: Parameter(name, p) for name, p in shown.items() if p.get("class", "free") == "free"}
        self.parameters = []
        while free:
            ready = [p for p in free.values() if not p.when or p.when["parameter"] not in free]
            if not ready:
                raise Refused("conditions depend on each other in a circle")
            self.parameters += ready
            for p in ready:
                del free[p.name]

    def applies(self, parameter, config):
        when = parameter.when
        return not when or config.get(when["parameter"]) in when["among"]

    def settings(self, value_of):
        """The settings that apply, each by `value_of(parameter)`, those first that others depend on."""
        config = {}
        for p in self.parameters:
            if self.applies(p, config):
                config[p.name] = value_of(p)
        return config

    def decode(self, point):
        coordinates = {p.name: u for p, u in zip(self.parameters, point)}
        return self.settings(lambda p: p.at(coordinates[p.name]))

    def start(self):
        """The defaults as a point, where every parameter has one."""
        if any(p.default is None for p in self.parameters):
            return None
        return [p.coordinate(p.default) for p in self.parameters]

    def only_real(self, library):
        for p in self.parameters:
            if p.kind != "float" or p.when:
                raise Refused(f"{library} takes real numbers that always matter; {p.name} is none")


class Library:
    """A peer keeps what was told, for those that recommend the lowest and for the penalty of trials without a value."""

    def __init__(self, space, seed, budget):
        self.space, self.seed, self.budget = space, seed, budget
        self.configs, self.told = {}, {}

    def ask(self, count):
        trials = []
        for _ in range(count):
            config = self.propose(len(self.configs))
            if config is None:
                break
            trials.append({"id": len(self.configs), "config": config})
            self.configs[len(self.configs)] = config
        return trials

    def tell(self, told):
        number = told["id"]
        if number not in self.configs or number in self.told:
            raise Refused(f"no trial {number} is under way")
        value = told.get("value")
        feasible = told.get("feasible", True) and value is not None
        self.told[number] = (value, feasible)
        self.learn(number, value, feasible)

    def penalised(self, value, feasible):
        """What stands for a trial without a value, in a library that knows no failure: beyond the worst seen."""
        if feasible:
            return value
        seen = [v for v, ok in self.told.values() if ok]
        return max(seen) + (max(seen) - min(seen)) if seen else 1e6

    def best(self):
        good = [(value, number) for number, (value, ok) in self.told.items() if ok]
        if not good:
            return None
        value, number = min(good)
        return {"id": number, "config": self.configs[number], "value": value}


class Random(Library):
    def __init__(self, *brief):
        super().__init__(*brief)
        self.random = random.Random(self.seed)

    def propose(self, _number):
        return self.space.settings(lambda p: p.at(self.random.random()))

    def learn(self, number, value, feasible):
        pass


class Optuna(Library):
    def __init__(self, *brief):
        super().__init__(*brief)
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.optuna, self.trials = optuna, {}
        self.study = optuna.create_study(sampler=self.sampler(optuna))
        start = self.space.start()
        if start:
            self.study.enqueue_trial(self.space.decode(start))

    def suggest(self, trial, p):
        if p.categorical():
            return trial.suggest_categorical(p.name, p.values)
        suggest = trial.suggest_int if p.kind == "int" else trial.suggest_float
        return suggest(p.name, p.min, p.max, log=p.log)

    def propose(self, number):
        trial = self.study.ask()
        self.trials[number] = trial
        return self.space.settings(lambda p: self.suggest(trial, p))

    def learn(self, number, value, feasible):
        trial = self.trials[number]
        if feasible:
            self.study.tell(trial, value)
        else:
            self.study.tell(trial, state=self.optuna.trial.TrialState.FAIL)


class OptunaTpe(Optuna):
    def sampler(self, optuna):
        return optuna.samplers.TPESampler(seed=self.seed)


class OptunaTpeMultivariate(Optuna):
    def sampler(self, optuna):
        return optuna.samplers.TPESampler(seed=self.seed, multivariate=True, group=True)


class OptunaCmaes(Optuna):
    def sampler(self, optuna):
        return optuna.samplers.CmaEsSampler(seed=self.seed)


class OptunaGp(Optuna):
    def sampler(self, optuna):
        return optuna.samplers.GPSampler(seed=self.seed)


class Cma(Library):
    """pycma, restarted with twice the population whenever it stops. Recommends the lowest seen."""

    def __init__(self, *brief):
        super().__init__(*brief)
        import cma

        self.cma, self.restarts = cma, 0
        self.random = random.Random(self.seed)
        # Few whole numbers and words are coordinates in whole steps, for the library's own treatment of them.
        self.steps = []
        for p in self.space.parameters:
            few = p.kind == "int" and not p.log and p.max - p.min < 20
            count = p.max - p.min + 1 if few else len(p.values) if p.categorical() else None
            self.steps.append(count)
        self.begin()

    def begin(self):
        start = self.space.start() if self.restarts == 0 else None
        point = start or [self.random.random() for _ in self.steps]
        scaled = [u if n is None else min(int(u * n), n - 1) for u, n in zip(point, self.steps)]
        dimension = max(len(scaled), 2)
        population = (4 + int(3 * math.log(dimension))) << min(self.restarts, 8)
        options = {
            "bounds": [[0.0] * len(scaled), [1.0 if n is None else n - 1 for n in self.steps]],
            "CMA_stds": [1.0 if n is None else float(n) for n in self.steps],
            "integer_variables": [i for i, n in enumerate(self.steps) if n is not None],
            "seed": self.seed % 2**31 + self.restarts + 1,
            "popsize": population,
            "verbose": -9,
        }
        if len(scaled) == 1:
            raise Refused("pycma takes two parameters or more")
        self.search = self.cma.CMAEvolutionStrategy(scaled, 0.3, options)
        self.waiting, self.points, self.values = [], {}, {}
        self.generation = []

    def unit(self, x):
        return [u if n is None else (round(u) + 0.5) / n for u, n in zip(x, self.steps)]

    def propose(self, number):
        if not self.waiting:
            if len(self.values) < len(self.generation):
                return None
            if self.generation:
                self.search.tell([self.points[k] for k in self.generation], [self.values[k] for k in self.generation])
                self.generation, self.values = [], {}
                if self.search.stop():
                    self.restarts += 1
                    self.begin()
            self.waiting = self.search.ask()
        self.points[number] = self.waiting.pop(0)
        self.generation.append(number)
        return self.space.decode(self.unit(self.points[number]))

    def learn(self, number, value, feasible):
        self.values[number] = self.penalised(value, feasible)


class CmaFavorite(Cma):
    """pycma, whose recommendation under noise is the mean of its distribution."""

    def best(self):
        lowest = super().best()
        if lowest is None or self.search.countiter == 0:
            return lowest
        favorite = self.search.result.xfavorite
        return {"id": None, "config": self.space.decode(self.unit(favorite)), "value": lowest["value"]}


class Nevergrad(Library):
    name = "NGOpt"

    def __init__(self, *brief):
        super().__init__(*brief)
        import nevergrad as ng

        def parameter(p):
            if p.categorical():
                return ng.p.Choice(p.values)
            middle = None if p.default is None else float(p.default)
            if p.log:
                scalar = ng.p.Log(init=middle, lower=p.min, upper=p.max)
            else:
                scalar = ng.p.Scalar(init=middle, lower=p.min, upper=p.max)
            return scalar.set_integer_casting() if p.kind == "int" else scalar

        space = ng.p.Dict(**{p.name: parameter(p) for p in self.space.parameters})
        space.random_state.seed(self.seed % 2**32)
        self.search = ng.optimizers.registry[self.name](parametrization=space, budget=self.budget, num_workers=1)
        self.candidates = {}

    def typed(self, settings):
        return self.space.settings(lambda p: int(settings[p.name]) if p.kind == "int" else settings[p.name])

    def propose(self, number):
        self.candidates[number] = self.search.ask()
        return self.typed(self.candidates[number].value)

    def learn(self, number, value, feasible):
        self.search.tell(self.candidates[number], self.penalised(value, feasible))

    def best(self):
        lowest = super().best()
        if lowest is None:
            return None
        config = self.typed(self.search.provide_recommendation().value)
        same = [number for number, seen in self.configs.items() if seen == config and number in self.told]
        return {"id": same[0] if same else None, "config": config, "value": lowest["value"]}


class Dlib(Library):
    """MaxLIPO with a trust region, one trial at a time."""

    def __init__(self, *brief):
        super().__init__(*brief)
        import dlib

        low, high, whole = [], [], []
        for p in self.space.parameters:
            in_steps = p.categorical() or (p.kind == "int" and not p.log)
            whole.append(in_steps)
            low.append(0 if p.categorical() else p.min if in_steps else p.low)
            high.append(len(p.values) - 1 if p.categorical() else p.max if in_steps else p.high)
        self.whole = whole
        self.search = dlib.global_function_search(dlib.function_spec(low, high, whole))
        self.search.set_seed(self.seed % 2**31)
        self.requests = {}

    def value(self, p, whole, x):
        if p.categorical():
            return p.values[round(x)]
        if whole:
            return round(x)
        return p.at((x - p.low) / (p.high - p.low) if p.high > p.low else 0.5)

    def propose(self, number):
        if len(self.requests) > len(self.told):
            return None
        request = self.search.get_next_x()
        self.requests[number] = request
        x = {p.name: (whole, x) for p, whole, x in zip(self.space.parameters, self.whole, request.x)}
        return self.space.settings(lambda p: self.value(p, *x[p.name]))

    def learn(self, number, value, feasible):
        self.requests[number].set(-self.penalised(value, feasible))


class Skopt(Library):
    """scikit-optimize: a model of the objective, whose lowest expected improvement, bound or probability is hedged over."""

    model = "GP"

    def __init__(self, *brief):
        super().__init__(*brief)
        import skopt

        def dimension(p):
            if p.categorical():
                return skopt.space.Categorical(p.values, name=p.name)
            kind = skopt.space.Integer if p.kind == "int" else skopt.space.Real
            return kind(p.min, p.max, prior="log-uniform" if p.log else "uniform", name=p.name)

        self.search = skopt.Optimizer(
            [dimension(p) for p in self.space.parameters],
            base_estimator=self.model,
            n_initial_points=min(10, max(self.budget // 3, 1)),
            random_state=self.seed % 2**31,
        )
        self.points = {}

    def propose(self, number):
        start = self.space.start() if number == 0 else None
        point = [p.at(u) for p, u in zip(self.space.parameters, start)] if start else self.search.ask()
        self.points[number] = point
        typed = {p.name: plain(v) if hasattr(v, "item") else v for p, v in zip(self.space.parameters, point)}
        return self.space.settings(lambda p: typed[p.name])

    def learn(self, number, value, feasible):
        self.search.tell(self.points[number], self.penalised(value, feasible))


class SkoptForest(Skopt):
    model = "RF"


class Minimiser(Library):
    """A library that calls the objective itself: it runs in a thread of its own, from one start after another."""

    def __init__(self, *brief):
        super().__init__(*brief)
        self.space.only_real(type(self).__name__)
        self.random = random.Random(self.seed)
        self.points, self.values = queue.Queue(), queue.Queue()
        self.waiting = False
        threading.Thread(target=self.search, daemon=True).start()

    def objective(self, x):
        self.points.put([float(u) for u in x])
        return self.values.get()

    def search(self):
        start = self.space.start()
        try:
            while True:
                self.minimise(start or [self.random.random() for _ in self.space.parameters])
                start = None
        except Exception as error:
            self.points.put(error)

    def propose(self, _number):
        if self.waiting:
            return None
        point = self.points.get()
        if isinstance(point, Exception):
            raise Refused(f"{type(self).__name__}: {point}")
        self.waiting = True
        return self.space.decode(point)

    def learn(self, number, value, feasible):
        self.waiting = False
        self.values.put(self.penalised(value, feasible))


class Cobyqa(Minimiser):
    def minimise(self, start):
        import cobyqa

        cobyqa.minimize(self.objective, start, bounds=[(0.0, 1.0)] * len(start), options={"maxfev": self.budget})


class Lbfgs(Minimiser):
    def minimise(self, start):
        import scipy.optimize

        scipy.optimize.minimize(self.objective, start, method="L-BFGS-B", bounds=[(0.0, 1.0)] * len(start))


STRATEGIES = {
    "random": Random,
    "optuna-tpe": OptunaTpe,
    "optuna-tpe-multivariate": OptunaTpeMultivariate,
    "optuna-cmaes": OptunaCmaes,
    "optuna-gp": OptunaGp,
    "skopt-gp": Skopt,
    "skopt-forest": SkoptForest,
    "cma": Cma,
    "cma-favorite": CmaFavorite,
    "nevergrad-ngopt": Nevergrad,
    "dlib": Dlib,
    "cobyqa": Cobyqa,
    "lbfgs": Lbfgs,
}


def begin(header):
    strategy = header.get("strategy", "")
    if strategy not in STRATEGIES:
        raise Refused(f"there is no strategy {strategy!r}; there are {', '.join(STRATEGIES)}")
    budget = header.get("budget")
    try:
        return STRATEGIES[strategy](Space(header["space"]), int(header.get("seed", 0)) % 2**32, budget or 1000)
    except ImportError as error:
        raise missing(error) from error


def missing(error):
    return Refused(f"{error}: run peers/install optimisers; optuna-gp wants torch too, which it leaves out for its size")


def answer(library, message):
    if "ask" in message:
        trials = library.ask(int(message["ask"]))
        if not trials:
            raise Refused("told nothing of the trials that are under way")
        return {"trials": trials}
    for told in message["tell"]:
        library.tell(told)
    return {"best": library.best()}


def plain(value):
    """Numbers of numpy as JSON's."""
    return value.item()


def main():
    if sys.argv[1:] == ["--list"]:
        print("\n".join(STRATEGIES))
        return 0
    # What a library prints must not disturb the protocol.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    library = None
    for line in sys.stdin:
        try:
            message = json.loads(line)
            if library is None:
                library = begin(message)
                continue
            reply = answer(library, message)
        except Refused as refused:
            reply = {"error": str(refused)}
        except ImportError as error:
            reply = {"error": str(missing(error))}
        except (KeyError, TypeError, ValueError) as error:
            reply = {"error": f"can't take {line.strip()[:200]}: {type(error).__name__}: {error}"}
        print(json.dumps(reply, default=plain), file=out, flush=True)
        if "error" in reply:
            return 2
    return 0


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    # A library's thread may still wait for a value.
    os._exit(code)

//! CartPole-v1, Acrobot-v1 and MountainCar-v0 as Gymnasium 1.x defines them: the same equations, integrators, ranges to begin in, rewards
//! and limits of time.

use std::f64::consts::PI;
use std::fmt;
use std::str::FromStr;

use kandela_tune::dqn::End;
use kandela_tune::random::Random;
use rand::Rng;

/// Which environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    CartPole,
    Acrobot,
    MountainCar,
}

/// An episode under way.
#[derive(Clone, Debug)]
pub(crate) struct Episode {
    task: Task,
    state: State,
    steps: u32,
}

/// Position and speed of each of up to two coordinates; those of [`Task::MountainCar`] come first.
pub(crate) type State = [f64; 4];

impl Task {
    pub(crate) const ALL: [Task; 3] = [Task::CartPole, Task::Acrobot, Task::MountainCar];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Task::CartPole => "cartpole",
            Task::Acrobot => "acrobot",
            Task::MountainCar => "mountaincar",
        }
    }

    /// How many numbers are observed.
    pub(crate) const fn observation_len(self) -> usize {
        match self {
            Task::CartPole => 4,
            Task::Acrobot => 6,
            Task::MountainCar => 2,
        }
    }

    /// How many actions there are.
    pub(crate) const fn actions(self) -> usize {
        match self {
            Task::CartPole => 2,
            Task::Acrobot | Task::MountainCar => 3,
        }
    }

    /// How many steps an episode has at most.
    pub(crate) const fn limit(self) -> u32 {
        match self {
            Task::CartPole | Task::Acrobot => 500,
            Task::MountainCar => 200,
        }
    }

    /// A new episode.
    pub(crate) fn reset(self, random: &mut Random) -> Episode {
        let mut uniform = |low: f64, high: f64| low + (high - low) * random.random::<f64>();
        let state = match self {
            Task::CartPole => [(); 4].map(|()| uniform(-0.05, 0.05)),
            Task::Acrobot => [(); 4].map(|()| f64::from(uniform(-0.1, 0.1) as f32)),
            Task::MountainCar => [uniform(-0.6, -0.4), 0.0, 0.0, 0.0],
        };
        Episode { task: self, state, steps: 0 }
    }

    /// What is observed in a state.
    fn observe(self, [a, b, c, d]: State) -> Vec<f32> {
        let numbers = match self {
            Task::CartPole => vec![a, b, c, d],
            Task::Acrobot => vec![libm::cos(a), libm::sin(a), libm::cos(b), libm::sin(b), c, d],
            Task::MountainCar => vec![a, b],
        };
        numbers.into_iter().map(|number| number as f32).collect()
    }

    /// The state after an action, what that earned, and whether the episode ended there.
    pub(crate) fn step(self, state: State, action: usize) -> (State, f32, bool) {
        match self {
            Task::CartPole => cart_pole(state, action),
            Task::Acrobot => acrobot(state, action),
            Task::MountainCar => mountain_car(state, action),
        }
    }
}

impl Episode {
    /// What is observed now.
    pub(crate) fn observation(&self) -> Vec<f32> {
        self.task.observe(self.state)
    }

    /// Takes a step: what it earned, and whether the episode goes on.
    pub(crate) fn step(&mut self, action: usize) -> (f32, End) {
        let (state, reward, ended) = self.task.step(self.state, action);
        self.state = state;
        self.steps += 1;
        let end = match ended {
            true => End::Terminal,
            false if self.steps >= self.task.limit() => End::Truncated,
            false => End::Goes,
        };
        (reward, end)
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Task {
    type Err = String;

    fn from_str(word: &str) -> Result<Task, String> {
        let known = Task::ALL.into_iter().find(|task| task.as_str() == word);
        known.ok_or_else(|| {
            format!("there is no environment {word:?}; there are cartpole, acrobot, mountaincar")
        })
    }
}

/// A pole on a cart that is pushed left or right (Barto, Sutton and Anderson, 1983); Euler steps of 20 ms.
fn cart_pole([x, x_speed, angle, turning]: State, action: usize) -> (State, f32, bool) {
    const GRAVITY: f64 = 9.8;
    const MASS_POLE: f64 = 0.1;
    const MASS: f64 = MASS_POLE + 1.0;
    const HALF_LENGTH: f64 = 0.5;
    const TAU: f64 = 0.02;
    let force = if action == 1 { 10.0 } else { -10.0 };
    let (sin, cos) = (libm::sin(angle), libm::cos(angle));
    let push = (force + MASS_POLE * HALF_LENGTH * turning * turning * sin) / MASS;
    let swing = (GRAVITY * sin - cos * push) / (HALF_LENGTH * (4.0 / 3.0 - MASS_POLE * cos * cos / MASS));
    let acceleration = push - MASS_POLE * HALF_LENGTH * swing * cos / MASS;
    let state =
        [x + TAU * x_speed, x_speed + TAU * acceleration, angle + TAU * turning, turning + TAU * swing];
    let fell = state[0].abs() > 2.4 || state[2].abs() > 12.0 * 2.0 * PI / 360.0;
    (state, 1.0, fell)
}

/// Two links that hang, with torque at the joint between them (Sutton, 1996; the equations of the book by Sutton and Barto); one
/// Runge-Kutta step of 0.2 s.
fn acrobot(state: State, action: usize) -> (State, f32, bool) {
    const STEP: f64 = 0.2;
    let torque = [-1.0, 0.0, 1.0][action];
    let ahead = |by: f64, slope: State| [0, 1, 2, 3].map(|i| state[i] + by * slope[i]);
    let first = acrobot_slope(state, torque);
    let second = acrobot_slope(ahead(STEP / 2.0, first), torque);
    let third = acrobot_slope(ahead(STEP / 2.0, second), torque);
    let fourth = acrobot_slope(ahead(STEP, third), torque);
    let slope = [0, 1, 2, 3].map(|i| first[i] + 2.0 * second[i] + 2.0 * third[i] + fourth[i]);
    let [upper, lower, upper_speed, lower_speed] = ahead(STEP / 6.0, slope);
    let state = [
        wrapped(upper),
        wrapped(lower),
        upper_speed.clamp(-4.0 * PI, 4.0 * PI),
        lower_speed.clamp(-9.0 * PI, 9.0 * PI),
    ];
    let up = -libm::cos(state[0]) - libm::cos(state[1] + state[0]) > 1.0;
    (state, if up { 0.0 } else { -1.0 }, up)
}

/// Links of length, mass and moment of inertia 1, with their centres of mass in the middle.
fn acrobot_slope([upper, lower, upper_speed, lower_speed]: State, torque: f64) -> State {
    const GRAVITY: f64 = 9.8;
    const MIDDLE: f64 = 0.5;
    let (sin, cos) = (libm::sin(lower), libm::cos(lower));
    let d1 = MIDDLE * MIDDLE + (1.0 + MIDDLE * MIDDLE + 2.0 * MIDDLE * cos) + 1.0 + 1.0;
    let d2 = MIDDLE * MIDDLE + MIDDLE * cos + 1.0;
    let phi2 = MIDDLE * GRAVITY * libm::cos(upper + lower - PI / 2.0);
    let phi1 = -MIDDLE * lower_speed * lower_speed * sin - 2.0 * MIDDLE * lower_speed * upper_speed * sin
        + (MIDDLE + 1.0) * GRAVITY * libm::cos(upper - PI / 2.0)
        + phi2;
    let lower_acceleration = (torque + d2 / d1 * phi1 - MIDDLE * upper_speed * upper_speed * sin - phi2)
        / (MIDDLE * MIDDLE + 1.0 - d2 * d2 / d1);
    let upper_acceleration = -(d2 * lower_acceleration + phi1) / d1;
    [upper_speed, lower_speed, upper_acceleration, lower_acceleration]
}

/// The angle between −π and π.
fn wrapped(mut angle: f64) -> f64 {
    while angle > PI {
        angle -= 2.0 * PI;
    }
    while angle < -PI {
        angle += 2.0 * PI;
    }
    angle
}

/// A car too weak for its hill (Moore, 1990).
fn mountain_car([position, speed, ..]: State, action: usize) -> (State, f32, bool) {
    const MOST: f64 = 0.07;
    let push = (action as f64 - 1.0) * 0.001;
    let speed = (speed + (push + libm::cos(3.0 * position) * -0.0025)).clamp(-MOST, MOST);
    let position = (position + speed).clamp(-1.2, 0.6);
    let speed = if position == -1.2 && speed < 0.0 { 0.0 } else { speed };
    ([position, speed, 0.0, 0.0], -1.0, position >= 0.5 && speed >= 0.0)
}

#[cfg(test)]
mod tests {
    use kandela_tune::random::seeded;
    use serde::Deserialize;

    use super::*;

    /// What Gymnasium did; written by peers/gymnasium/record.py.
    #[derive(Deserialize)]
    struct Recorded {
        limit: u32,
        starts: Starts,
        steps: Vec<Step>,
    }

    #[derive(Deserialize)]
    struct Starts {
        least: Vec<f64>,
        greatest: Vec<f64>,
    }

    #[derive(Deserialize)]
    struct Step {
        state: Vec<f64>,
        action: usize,
        next: Vec<f64>,
        observation: Vec<f32>,
        reward: f32,
        terminated: bool,
    }

    fn recorded(task: Task) -> Recorded {
        let text = include_str!("../../tests/fixtures/gymnasium.json");
        let mut all: serde_json::Value = serde_json::from_str(text).expect("the fixture is JSON");
        serde_json::from_value(all["tasks"][task.as_str()].take()).expect("the fixture has the task")
    }

    #[test]
    fn each_step_is_gymnasiums() {
        for task in Task::ALL {
            let steps = recorded(task).steps;
            assert!(steps.len() > 50 && steps.iter().any(|step| step.terminated), "{task}");
            for step in steps {
                let mut state = State::default();
                state[..step.state.len()].copy_from_slice(&step.state);
                let (next, reward, ended) = task.step(state, step.action);
                let place = format!("{task}, from {state:?} by {}", step.action);
                assert!(next.iter().zip(&step.next).all(|(a, b)| (a - b).abs() < 1e-12), "{place}: {next:?}");
                assert_eq!((reward, ended), (step.reward, step.terminated), "{place}");
                let seen = task.observe(next);
                assert_eq!(seen.len(), step.observation.len(), "{place}");
                assert!(seen.iter().zip(&step.observation).all(|(a, b)| (a - b).abs() < 1e-6), "{place}");
            }
        }
    }

    #[test]
    fn episodes_begin_where_gymnasiums_do() {
        for task in Task::ALL {
            let Starts { least, greatest } = recorded(task).starts;
            let mut random = seeded(1, 0);
            let states: Vec<State> = (0..1000).map(|_| task.reset(&mut random).state).collect();
            for (place, (low, high)) in least.iter().zip(&greatest).enumerate() {
                let coordinate = |pick: fn(f64, f64) -> f64| {
                    states.iter().map(|state| state[place]).reduce(pick).expect("there are states")
                };
                // Both are extremes of a thousand uniform draws.
                let slack = 0.01 * (high - low);
                let (lowest, highest) = (coordinate(f64::min), coordinate(f64::max));
                assert!((lowest - low).abs() <= slack && (highest - high).abs() <= slack, "{task}, {place}");
            }
        }
    }

    #[test]
    fn episodes_are_cut_off_where_gymnasium_cuts_them_off() {
        for task in Task::ALL {
            let mut random = seeded(1, 0);
            let mut episode = task.reset(&mut random);
            let start = episode.state;
            let mut steps = 1;
            while episode.step(0).1 == End::Goes {
                episode.state = start;
                steps += 1;
            }
            assert_eq!(steps, recorded(task).limit, "{task}");
        }
    }
}

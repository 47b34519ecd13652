//! A pool in front of a downstream that suffers from its own concurrency, event by event: what a [`Sizer`](super::Sizer) is tried on.
//!
//! Requests arrive as a Poisson process, whether or not earlier ones were answered (open loop). Each brings an amount of work, in
//! seconds of a downstream that serves it alone, and waits until fewer than the pool's size are in service. All in service advance
//! at one speed, 1/(1 + σ(n−1) + κn(n−1)) of that when n are, so that the downstream as a whole follows the Universal Scalability
//! Law. Nothing here is random but by its seed: two sizes see the same requests.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use super::meter::{Meter, Sample};
use super::random::Random;
use super::usl::Usl;
use crate::clock::Moment;

/// How the work of one request differs from that of another. The mean is the downstream's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    /// Exponential: a coefficient of variation of 1.
    Exponential,
    /// Log-normal of this coefficient of variation.
    LogNormal(f64),
    /// A mixture of two exponentials with balanced means, of this coefficient of variation, at least 1.
    Hyperexponential(f64),
}

/// A stretch of time in which load and downstream stay as they are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Phase {
    /// How long it is.
    pub length: Duration,
    /// Arrivals a second.
    pub rate: f64,
    /// The downstream. `service` is the mean work of a request, in seconds.
    pub downstream: Usl,
    /// How the work differs.
    pub shape: Shape,
}

/// A request to come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Request {
    /// Its phase.
    pub phase: usize,
    /// When it comes, in seconds.
    pub at: f64,
    /// Its work, in seconds of a downstream that serves it alone.
    pub work: f64,
}

/// A request that was served.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Served {
    /// The request.
    pub request: Request,
    /// How long it waited for a place, in seconds.
    pub wait: f64,
    /// How long it took in all, in seconds.
    pub total: f64,
}

/// The requests of all phases, by a seed.
pub fn requests(phases: &[Phase], seed: u64) -> Vec<Request> {
    let mut random = Random::new(seed);
    let mut requests = Vec::new();
    let mut begins = 0.0;
    for (index, phase) in phases.iter().enumerate() {
        let ends = begins + phase.length.as_secs_f64();
        let mut at = begins + random.exponential() / phase.rate;
        while at < ends {
            let work = phase.downstream.service * phase.shape.draw(&mut random);
            requests.push(Request { phase: index, at, work });
            at += random.exponential() / phase.rate;
        }
        begins = ends;
    }
    requests
}

impl Shape {
    /// Of mean 1.
    fn draw(self, random: &mut Random) -> f64 {
        match self {
            Shape::Exponential => random.exponential(),
            Shape::LogNormal(cv) => {
                let variance = (1.0 + cv * cv).ln();
                (variance.sqrt() * random.normal() - variance / 2.0).exp()
            }
            Shape::Hyperexponential(cv) => {
                let square = cv * cv;
                let share = 0.5 * (1.0 + ((square - 1.0) / (square + 1.0)).max(0.0).sqrt());
                let is_short = random.uniform() <= share;
                let mean = 0.5 / if is_short { share } else { 1.0 - share };
                mean * random.exponential()
            }
        }
    }
}

/// Serves `requests` with a pool of `size`. After every `window`, `resize` is told the time, what was measured and the size, and
/// says what the size is to be. Returns the requests in the order in which they were done.
pub fn run(
    phases: &[Phase],
    requests: &[Request],
    size: usize,
    window: Duration,
    mut resize: impl FnMut(Moment, &Sample, usize) -> usize,
) -> Vec<Served> {
    let mut world = World::new(phases, size);
    let mut next = 0;
    let mut tick = window.as_secs_f64();
    while next < requests.len() || !world.in_service.is_empty() {
        let arrival = requests.get(next).map_or(f64::INFINITY, |request| request.at);
        let (done, phase_ends) = (world.next_done(), world.phase_ends);
        let at = arrival.min(done).min(tick).min(phase_ends);
        world.pass_to(at);
        if at == phase_ends {
            world.begin_next_phase();
        } else if at == done {
            world.finish_one();
        } else if at == arrival {
            world.arrive(requests[next]);
            next += 1;
        } else {
            let sample = world.meter.take(world.moment(), world.waiting.len());
            world.size = resize(world.moment(), &sample, world.size);
            tick += window.as_secs_f64();
        }
        world.start_waiting();
    }
    world.served
}

struct World<'a> {
    phases: &'a [Phase],
    phase: usize,
    phase_ends: f64,
    size: usize,
    now: f64,
    /// How much work each request in service has had since it all began.
    progress: f64,
    waiting: VecDeque<Request>,
    /// By the progress at which they are done.
    in_service: BinaryHeap<Reverse<InService>>,
    meter: Meter,
    served: Vec<Served>,
}

impl<'a> World<'a> {
    fn new(phases: &'a [Phase], size: usize) -> World<'a> {
        World {
            phases,
            phase: 0,
            phase_ends: phases[0].length.as_secs_f64(),
            size,
            now: 0.0,
            progress: 0.0,
            waiting: VecDeque::new(),
            in_service: BinaryHeap::new(),
            meter: Meter::new(Moment::ORIGIN),
            served: Vec::new(),
        }
    }

    fn moment(&self) -> Moment {
        Moment::ORIGIN.after(Duration::from_secs_f64(self.now))
    }

    fn speed(&self) -> f64 {
        let downstream = &self.phases[self.phase].downstream;
        downstream.service / downstream.hold(self.in_service.len() as f64)
    }

    fn next_done(&self) -> f64 {
        let Some(Reverse(first)) = self.in_service.peek() else { return f64::INFINITY };
        self.now + (first.done_at - self.progress).max(0.0) / self.speed()
    }

    fn pass_to(&mut self, at: f64) {
        if !self.in_service.is_empty() {
            self.progress += (at - self.now) * self.speed();
        }
        self.now = at;
    }

    /// The last phase's downstream stays.
    fn begin_next_phase(&mut self) {
        if self.phase + 1 == self.phases.len() {
            self.phase_ends = f64::INFINITY;
            return;
        }
        self.phase += 1;
        self.phase_ends += self.phases[self.phase].length.as_secs_f64();
    }

    fn arrive(&mut self, request: Request) {
        self.meter.arrived(self.moment());
        self.waiting.push_back(request);
    }

    fn start_waiting(&mut self) {
        while self.in_service.len() < self.size {
            let Some(request) = self.waiting.pop_front() else { return };
            let wait = self.now - request.at;
            self.meter.began(self.moment(), Duration::from_secs_f64(wait));
            let done_at = self.progress + request.work;
            self.in_service.push(Reverse(InService { done_at, began: self.now, request }));
        }
    }

    fn finish_one(&mut self) {
        let Some(Reverse(done)) = self.in_service.pop() else { return };
        self.meter.ended(self.moment(), Duration::from_secs_f64(self.now - done.began));
        let request = done.request;
        self.served.push(Served { request, wait: done.began - request.at, total: self.now - request.at });
    }
}

struct InService {
    done_at: f64,
    began: f64,
    request: Request,
}

impl PartialEq for InService {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for InService {}

impl PartialOrd for InService {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for InService {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.done_at.total_cmp(&other.done_at).then(self.request.at.total_cmp(&other.request.at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phase(rate: f64, downstream: Usl) -> Phase {
        Phase { length: Duration::from_secs(2000), rate, downstream, shape: Shape::Exponential }
    }

    fn mean(values: impl Iterator<Item = f64> + Clone) -> f64 {
        values.clone().sum::<f64>() / values.count() as f64
    }

    #[test]
    fn a_pool_of_one_waits_as_one_server_does() {
        let phases = [phase(8.0, Usl { service: 0.1, sigma: 0.0, kappa: 0.0 })];
        let served = run(&phases, &requests(&phases, 1), 1, Duration::from_secs(60), |_, _, size| size);
        // M/M/1: ρ/(μ−λ) = 0.8/2 s.
        let wait = mean(served.iter().map(|served| served.wait));
        assert!((wait - 0.4).abs() < 0.05, "{wait}");
    }

    #[test]
    fn work_has_the_variation_asked_for() {
        for (shape, cv) in
            [(Shape::Exponential, 1.0), (Shape::LogNormal(0.5), 0.5), (Shape::Hyperexponential(2.0), 2.0)]
        {
            let mut random = Random::new(5);
            let draws: Vec<f64> = (0..200_000).map(|_| shape.draw(&mut random)).collect();
            let average = mean(draws.iter().copied());
            let deviation = mean(draws.iter().map(|draw| (draw - average).powi(2))).sqrt();
            assert!((average - 1.0).abs() < 0.02, "{shape:?} {average}");
            assert!((deviation - cv).abs() < 0.05 * cv, "{shape:?} {deviation}");
        }
    }

    #[test]
    fn everyone_who_came_is_served() {
        let phases = [phase(50.0, Usl { service: 0.1, sigma: 0.1, kappa: 0.01 })];
        let requests = requests(&phases, 3);
        let served = run(&phases, &requests, 4, Duration::from_secs(60), |_, _, size| size);
        assert_eq!(served.len(), requests.len());
    }
}

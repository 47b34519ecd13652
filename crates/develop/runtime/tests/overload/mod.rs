//! A discrete-event simulation of a service under an open load, with the real limiter in front of it, on a clock of its own.
//!
//! Arrivals do not wait for answers. Latency counts from arrival, waiting included. An answer is good if it comes within the client's
//! deadline; those that come later were work in vain.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use kandela_runtime::clock::{ManualClock, Moment};
use kandela_runtime::limiter::{Entry, Limiter, Permit, Priority, Settings, Waiting};
use kandela_runtime::steward::Steward;
use parking_lot::Mutex;

/// A seeded generator: SplitMix64 (Steele, Lea and Flood, 2014).
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Within 0 to 1, neither included.
    pub fn unit(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    /// Of mean 1.
    pub fn exponential(&mut self) -> f64 {
        -self.unit().ln()
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * self.unit().ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// Of mean 1.
    fn lognormal(&mut self, sigma: f64) -> f64 {
        (sigma * self.normal() - sigma * sigma / 2.0).exp()
    }
}

/// How service times vary.
#[derive(Clone, Copy, Debug)]
pub enum Spread {
    /// All the same.
    None,
    Exponential,
    Lognormal(f64),
}

/// What is odd about a server.
#[derive(Clone, Copy, Debug)]
pub enum Oddity {
    None,
    /// From the first second to the second, service takes so many times as long.
    SlowFrom(f64, f64, f64),
    /// Each so many seconds, nothing is served for so many.
    Pause(f64, f64),
    /// Service slows down with what is in the server: σ and κ of the universal scalability law.
    Contention(f64, f64),
    /// A far side with any number of workers, of so many seconds, so many times as long from a second on.
    FarSide(f64, f64, f64),
}

/// The server behind the limiter.
#[derive(Clone, Copy, Debug)]
pub struct Server {
    pub name: &'static str,
    pub workers: usize,
    /// Mean seconds of a worker's time.
    pub seconds: f64,
    pub spread: Spread,
    pub oddity: Oddity,
    /// Whether arrivals come in bursts: half a second of 1.8 times the rate, half of a fifth of it.
    pub bursts: bool,
}

/// What stands in front of the server.
#[derive(Clone, Debug)]
pub enum Guard {
    Nothing,
    Fixed(usize),
    Adaptive(Settings),
}

#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Arrivals a second.
    pub rate: f64,
    /// Simulated seconds; the first fifth is not counted.
    pub seconds: f64,
    /// Within how many seconds an answer is of use.
    pub deadline: f64,
    pub seed: u64,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Good answers a second.
    pub goodput: f64,
    /// Seconds, of those that were let in.
    pub p50: f64,
    pub p99: f64,
    /// Mean limit.
    pub limit: f64,
    /// Answered calls of each priority, as a share of its arrivals.
    pub served: [f64; 4],
    /// Limit at the end of each simulated second.
    pub limits: Vec<usize>,
    /// Entries of the decision log.
    pub decisions: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrival,
    Expires(usize),
    Served(usize),
    Returned(usize),
    Tick,
}

struct Call {
    arrived: f64,
    priority: Priority,
    permit: Option<Permit>,
    waiting: Option<Waiting>,
}

/// Wakers put the call's number here.
#[derive(Default)]
struct Woken(Mutex<Vec<usize>>);

struct WakeCall(usize, Arc<Woken>);

impl Wake for WakeCall {
    fn wake(self: Arc<Self>) {
        self.1.0.lock().push(self.0);
    }
}

struct World {
    server: Server,
    load: Load,
    random: Random,
    now: f64,
    clock: ManualClock,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    scheduled: u64,
    calls: Vec<Call>,
    busy: usize,
    queue: VecDeque<usize>,
    latencies: Vec<f64>,
    good: u64,
    served: [u64; 4],
    arrived: [u64; 4],
    woken: Arc<Woken>,
}

/// Lets `load` come to `server` behind `guard`.
pub fn simulate(server: Server, guard: &Guard, load: Load) -> Outcome {
    let clock = ManualClock::new();
    let steward = Steward::new(Arc::new(clock.clone()));
    let limiter = match guard {
        Guard::Nothing => None,
        Guard::Fixed(limit) => {
            let fixed = Settings { initial: *limit, min: *limit, max: *limit, ..Settings::default() };
            Some(Limiter::new("sim", fixed, &steward).expect("within range"))
        }
        Guard::Adaptive(settings) => {
            Some(Limiter::new("sim", settings.clone(), &steward).expect("within range"))
        }
    };
    let mut world = World {
        server,
        load,
        random: Random(load.seed),
        now: 0.0,
        clock,
        events: BinaryHeap::new(),
        scheduled: 0,
        calls: Vec::new(),
        busy: 0,
        queue: VecDeque::new(),
        latencies: Vec::new(),
        good: 0,
        served: [0; 4],
        arrived: [0; 4],
        woken: Arc::default(),
    };
    world.schedule(0.0, Event::Arrival);
    world.schedule(1.0, Event::Tick);
    let mut limits = Vec::new();
    while let Some(Reverse((nanos, _, event))) = world.events.pop() {
        world.now = nanos as f64 / 1e9;
        if world.now > load.seconds {
            break;
        }
        world.clock.set(Moment::from_nanos(nanos));
        match event {
            Event::Arrival => world.arrive(limiter.as_ref()),
            Event::Expires(call) => world.expire(call),
            Event::Served(call) => world.served(call),
            Event::Returned(call) => world.answer(call),
            Event::Tick => {
                steward.tick();
                limits.extend(limiter.as_ref().map(|limiter| limiter.report().limit));
                world.schedule(1.0, Event::Tick);
            }
        }
        world.wake();
    }
    world.outcome(limits, steward.log().entries().len())
}

impl World {
    fn schedule(&mut self, after: f64, event: Event) {
        self.scheduled += 1;
        let at = ((self.now + after) * 1e9) as u64;
        self.events.push(Reverse((at, self.scheduled, event)));
    }

    fn counts(&self) -> bool {
        self.now >= self.load.seconds / 5.0
    }

    fn arrive(&mut self, limiter: Option<&Limiter>) {
        let factor = match self.server.bursts {
            true if self.now.fract() < 0.5 => 1.8,
            true => 0.2,
            false => 1.0,
        };
        let gap = self.random.exponential() / (self.load.rate * factor);
        self.schedule(gap, Event::Arrival);
        let priority = Priority::ALL[(self.random.next() % 4) as usize];
        if self.counts() {
            self.arrived[priority.class()] += 1;
        }
        let number = self.calls.len();
        self.calls.push(Call { arrived: self.now, priority, permit: None, waiting: None });
        let Some(limiter) = limiter else { return self.begin(number) };
        match limiter.enter(priority) {
            Entry::Admitted(permit) => {
                self.calls[number].permit = Some(permit);
                self.begin(number);
            }
            Entry::Waiting(waiting) => {
                self.schedule(waiting.patience().as_secs_f64(), Event::Expires(number));
                self.calls[number].waiting = Some(waiting);
                self.poll(number);
            }
            Entry::Refused(_) => {}
        }
    }

    fn poll(&mut self, number: usize) {
        let Some(waiting) = &mut self.calls[number].waiting else { return };
        let waker = Waker::from(Arc::new(WakeCall(number, self.woken.clone())));
        let Poll::Ready(settled) = Pin::new(waiting).poll(&mut Context::from_waker(&waker)) else { return };
        self.calls[number].waiting = None;
        if let Ok(permit) = settled {
            self.calls[number].permit = Some(permit);
            self.begin(number);
        }
    }

    fn wake(&mut self) {
        loop {
            let woken = std::mem::take(&mut *self.woken.0.lock());
            if woken.is_empty() {
                return;
            }
            woken.into_iter().for_each(|number| self.poll(number));
        }
    }

    fn expire(&mut self, number: usize) {
        if let Some(waiting) = self.calls[number].waiting.take()
            && let Ok(permit) = waiting.give_up()
        {
            self.calls[number].permit = Some(permit);
            self.begin(number);
        }
    }

    /// Into the server.
    fn begin(&mut self, number: usize) {
        if self.busy < self.server.workers {
            self.busy += 1;
            self.work(number);
        } else {
            self.queue.push_back(number);
        }
    }

    fn work(&mut self, number: usize) {
        let mut seconds = self.server.seconds
            * match self.server.spread {
                Spread::None => 1.0,
                Spread::Exponential => self.random.exponential(),
                Spread::Lognormal(sigma) => self.random.lognormal(sigma),
            };
        match self.server.oddity {
            Oddity::SlowFrom(from, to, factor) if (from..to).contains(&self.now) => seconds *= factor,
            Oddity::Pause(every, lasts) => {
                let since = self.now % every;
                let paused = if since < lasts { lasts - since } else { 0.0 };
                let next = if since < lasts { every } else { every - since };
                seconds += paused;
                if paused == 0.0 && seconds > next {
                    seconds += lasts;
                }
            }
            Oddity::Contention(sigma, kappa) => {
                let inside = (self.busy + self.queue.len()) as f64;
                seconds *= 1.0 + sigma * (inside - 1.0) + kappa * inside * (inside - 1.0);
            }
            Oddity::None | Oddity::SlowFrom(..) | Oddity::FarSide(..) => {}
        }
        self.schedule(seconds, Event::Served(number));
    }

    fn served(&mut self, number: usize) {
        match self.queue.pop_front() {
            Some(next) => self.work(next),
            None => self.busy -= 1,
        }
        match self.server.oddity {
            Oddity::FarSide(seconds, factor, from) => {
                let factor = if self.now >= from { factor } else { 1.0 };
                let seconds = seconds * factor * self.random.lognormal(0.3);
                self.schedule(seconds, Event::Returned(number));
            }
            _ => self.answer(number),
        }
    }

    fn answer(&mut self, number: usize) {
        let counts = self.counts();
        let call = &mut self.calls[number];
        if let Some(permit) = call.permit.take() {
            permit.success();
        }
        let latency = self.now - call.arrived;
        if counts {
            self.latencies.push(latency);
            self.served[call.priority.class()] += 1;
            self.good += u64::from(latency <= self.load.deadline);
        }
    }

    fn outcome(mut self, limits: Vec<usize>, decisions: usize) -> Outcome {
        let counted = self.load.seconds * 0.8;
        self.latencies.sort_by(f64::total_cmp);
        let quantile = |q: f64| {
            self.latencies.get((q * self.latencies.len() as f64) as usize).copied().unwrap_or(f64::NAN)
        };
        let steady = &limits[limits.len() / 5..];
        let mut served = [0.0; 4];
        for (share, (served, arrived)) in served.iter_mut().zip(self.served.iter().zip(&self.arrived)) {
            *share = *served as f64 / (*arrived).max(1) as f64;
        }
        Outcome {
            goodput: self.good as f64 / counted,
            p50: quantile(0.5),
            p99: quantile(0.99),
            limit: steady.iter().sum::<usize>() as f64 / steady.len().max(1) as f64,
            served,
            limits,
            decisions,
        }
    }
}

/// What a server can do: its answers a second when it is kept as busy as serves it best, and the latency without load.
#[derive(Clone, Copy, Debug)]
pub struct Capacity {
    /// Of the server, when it is kept busy.
    pub sustained: f64,
    /// Of what comes, as much as can be served.
    pub per_second: f64,
    pub p99: f64,
}

/// Capacity by calculation, of bursts what of them can be served at all; latency measured at a twentieth of the capacity.
pub fn capacity(server: Server, seconds: f64, seed: u64) -> Capacity {
    let per_worker = server.workers as f64 / server.seconds;
    let load = |rate: f64, seconds: f64| Load { rate, seconds, deadline: f64::INFINITY, seed };
    let steady = Server { bursts: false, ..server };
    let ideal = match server.oddity {
        Oddity::Contention(sigma, kappa) => (1..=server.workers)
            .map(|n| {
                n as f64
                    / (server.seconds
                        * (1.0 + sigma * (n as f64 - 1.0) + kappa * n as f64 * (n as f64 - 1.0)))
            })
            .fold(0.0, f64::max),
        Oddity::Pause(every, lasts) => per_worker * (every - lasts) / every,
        Oddity::SlowFrom(from, to, factor) => {
            let (from, to) = (from.max(seconds * 0.2), to.min(seconds));
            let slow = (to - from).max(0.0) / (seconds * 0.8);
            per_worker * (1.0 - slow + slow / factor)
        }
        Oddity::None | Oddity::FarSide(..) => per_worker,
    };
    let alone = simulate(steady, &Guard::Nothing, load(0.05 * ideal, 4.0 * seconds));
    // In the quiet halves of twice the load, two fifths of the capacity are asked for.
    let per_second = if server.bursts { 0.7 * ideal } else { ideal };
    Capacity { sustained: ideal, per_second, p99: alone.p99 }
}

/// The servers that settings were chosen on, with other seeds than those reported.
pub fn servers_to_choose_on() -> Vec<Server> {
    let server = |name, workers, seconds, spread, oddity| Server {
        name,
        workers,
        seconds,
        spread,
        oddity,
        bursts: false,
    };
    vec![
        server("10 workers, even", 10, 0.020, Spread::None, Oddity::None),
        server("6 workers, exponential", 6, 0.008, Spread::Exponential, Oddity::None),
        server("48 workers, lognormal", 48, 0.030, Spread::Lognormal(0.8), Oddity::None),
        server("contention, peak near 12", 64, 0.004, Spread::Exponential, Oddity::Contention(0.02, 0.006)),
        server("far side doubles", 8, 0.004, Spread::Exponential, Oddity::FarSide(0.03, 2.0, 30.0)),
    ]
}

/// The servers that are reported.
pub fn servers() -> Vec<Server> {
    let server = |name, workers, seconds, spread, oddity| Server {
        name,
        workers,
        seconds,
        spread,
        oddity,
        bursts: false,
    };
    vec![
        server("16 workers, exponential", 16, 0.010, Spread::Exponential, Oddity::None),
        server("16 workers, lognormal", 16, 0.010, Spread::Lognormal(0.5), Oddity::None),
        server("4 workers, even", 4, 0.005, Spread::None, Oddity::None),
        server("1 worker, exponential", 1, 0.002, Spread::Exponential, Oddity::None),
        server(
            "contention, peak near 16",
            64,
            0.005,
            Spread::Lognormal(0.5),
            Oddity::Contention(0.01, 0.004),
        ),
        server("slow phase, three times", 16, 0.010, Spread::Exponential, Oddity::SlowFrom(25.0, 40.0, 3.0)),
        server("pause of 0.2 s every 5 s", 16, 0.010, Spread::Exponential, Oddity::Pause(5.0, 0.2)),
        server("far side doubles at 30 s", 16, 0.010, Spread::Exponential, Oddity::FarSide(0.02, 2.0, 30.0)),
        Server { bursts: true, ..server("bursts", 16, 0.010, Spread::Exponential, Oddity::None) },
    ]
}

/// Servers that nobody had looked at when the settings were final.
pub fn fresh_servers() -> Vec<Server> {
    let server = |name, workers, seconds, spread, oddity| Server {
        name,
        workers,
        seconds,
        spread,
        oddity,
        bursts: false,
    };
    vec![
        server("3 workers, lognormal", 3, 0.006, Spread::Lognormal(1.0), Oddity::None),
        server("30 workers, even", 30, 0.050, Spread::None, Oddity::None),
        server("100 workers, exponential", 100, 0.040, Spread::Exponential, Oddity::None),
        server("contention, peak near 22", 128, 0.010, Spread::Exponential, Oddity::Contention(0.005, 0.002)),
        server("pause of 0.1 s every 2 s", 24, 0.012, Spread::Lognormal(0.7), Oddity::Pause(2.0, 0.1)),
        server(
            "far side halves at 25 s",
            12,
            0.006,
            Spread::Lognormal(0.5),
            Oddity::FarSide(0.05, 0.5, 25.0),
        ),
        Server {
            bursts: true,
            ..server("bursts, lognormal", 8, 0.005, Spread::Lognormal(0.8), Oddity::None)
        },
    ]
}

/// Settings whose windows fit into simulated seconds.
pub fn adaptive(algorithm: kandela_runtime::limiter::Algorithm) -> Guard {
    Guard::Adaptive(Settings { algorithm, window: Duration::from_millis(100), ..Settings::default() })
}

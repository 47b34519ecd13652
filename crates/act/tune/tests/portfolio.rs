//! What a portfolio of strategies keeps.

use std::sync::Arc;

use kandela_tune::portfolio::{MEMBERS, Portfolio, Price, Sharing};
use kandela_tune::random::{Random, seeded};
use kandela_tune::{Brief, History, Measured, Outcome, Propose, Space, Strategy, Trial};
use proptest::prelude::*;
use rand::Rng;

const SPACE: &str = r#"{
    "x": {"type": "float", "min": 0, "max": 1},
    "y": {"type": "float", "min": 0, "max": 1},
    "n": {"type": "int", "min": 1, "max": 9},
    "c": {"type": "enum", "values": ["a", "b", "c"]}
}"#;

fn brief(seed: u64) -> Brief {
    let space: Space = serde_json::from_str(SPACE).expect("a space");
    Brief { space: Arc::new(space), budget: Some(120), seed, constraints: [].into() }
}

fn bowl(point: &[f64]) -> f64 {
    point.iter().zip([0.3, 0.8, 0.5, 0.1]).map(|(u, m)| (u - m).powi(2)).sum()
}

/// The points of a search that keeps `parallel` trials under way.
fn search(
    portfolio: &mut Portfolio,
    space: &Space,
    parallel: usize,
    measure: impl FnMut(&[f64]) -> Outcome,
) -> Vec<Vec<f64>> {
    watched(portfolio, space, parallel, measure, |_, _| ())
}

/// The same; `watch` sees the portfolio after each trial, and how many were asked for.
fn watched(
    portfolio: &mut Portfolio,
    space: &Space,
    parallel: usize,
    mut measure: impl FnMut(&[f64]) -> Outcome,
    mut watch: impl FnMut(&Portfolio, usize),
) -> Vec<Vec<f64>> {
    let (mut seen, mut pending) = (History::default(), Vec::new());
    for asked in 1..=120 {
        let point = portfolio.ask(&seen);
        pending.push(seen.begin(space.snap(&point)));
        if pending.len() >= parallel {
            let id = pending.remove(0);
            let outcome = measure(&seen.trial(id).expect("begun").point.clone());
            seen.end(id, outcome);
            let trial: Trial = seen.trial(id).expect("begun").clone();
            portfolio.tell(&seen, &trial);
            watch(portfolio, asked);
        }
    }
    seen.trials().iter().map(|trial| trial.point.clone()).collect()
}

fn noisy(random: &mut Random, noise: f64) -> impl FnMut(&[f64]) -> Outcome {
    move |point| {
        let error = noise * (random.random::<f64>() - 0.5);
        Outcome::Measured(Measured { seconds: Some(1.0 + point[0]), ..Measured::of(bowl(point) + error) })
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// The law of clones.
    #[test]
    fn a_strategy_that_is_there_twice_changes_nothing(
        seed in 0..1000_u64,
        twice in 0..3_usize,
        place in 0..4_usize,
        parallel in 1..6_usize,
        noise in prop::sample::select(vec![0.0, 0.3]),
        price in prop::sample::select(vec![Price::Trial, Price::Second]),
    ) {
        let once = vec![Strategy::CmaEs, Strategy::Random, Strategy::Annealing];
        let mut cloned = once.clone();
        cloned.insert(place, once[twice]);
        let run = |strategies: &[Strategy]| {
            let brief = brief(seed);
            let members = strategies.iter().map(|strategy| strategy.begin(&brief)).collect();
            let mut portfolio = Portfolio::new(members, Sharing::Return(price));
            let points = search(&mut portfolio, &brief.space, parallel, noisy(&mut seeded(seed, 50), noise));
            (points, portfolio.ledger())
        };
        let ((points, ledger), (cloned_points, cloned_ledger)) = (run(&once), run(&cloned));
        prop_assert_eq!(points, cloned_points);
        for row in ledger {
            let of = cloned_ledger.iter().filter(|other| other.strategy == row.strategy);
            let (share, trials, gain) =
                of.fold((0.0, 0.0, 0.0), |(s, t, g), o| (s + o.share, t + o.trials, g + o.gain));
            prop_assert!((share - row.share).abs() < 1e-9, "{} {share} {}", row.strategy, row.share);
            prop_assert!((trials - row.trials).abs() < 1e-9);
            prop_assert!((gain - row.gain).abs() < 1e-9);
        }
    }

    #[test]
    fn a_share_is_a_fifth_of_an_equal_one_at_least_and_nobody_is_given_more_than_the_others_leave(
        seed in 0..1000_u64,
        parallel in 1..6_usize,
        count in 2..5_usize,
        noise in prop::sample::select(vec![0.0, 0.3]),
    ) {
        let brief = brief(seed);
        let strategies = [Strategy::CmaEs, Strategy::Random, Strategy::Spsa, Strategy::Genetic];
        let mut portfolio = Portfolio::of(&strategies[..count], &brief);
        let least = 0.2 / count as f64;
        let most = 1.0 - least * (count - 1) as f64;
        watched(&mut portfolio, &brief.space, parallel, noisy(&mut seeded(seed, 50), noise), |portfolio, asked| {
            let ledger = portfolio.ledger();
            assert!((ledger.iter().map(|row| row.share).sum::<f64>() - 1.0).abs() < 1e-9);
            assert!(ledger.iter().all(|row| row.share >= least - 1e-9), "{ledger:?}");
            assert!(ledger.iter().all(|row| row.trials < most * asked as f64 + 1.0), "{ledger:?} of {asked}");
            let told: f64 = ledger.iter().map(|row| row.trials + row.checks).sum();
            // A check whether the objective is exact is nobody's, and so are those of what it found; a fifth of all are checks.
            let nobodys = asked as f64 - told - parallel as f64 + 1.0;
            assert!(nobodys > -1e-9 && nobodys <= 2.0 + 0.2 * asked as f64, "{told} of {asked}");
        });
    }

    #[test]
    fn of_two_each_gets_a_tenth_of_the_trials_at_every_time(
        seed in 0..1000_u64,
        parallel in 1..6_usize,
        noise in prop::sample::select(vec![0.0, 0.3]),
    ) {
        let brief = brief(seed);
        let members: Vec<Box<dyn Propose>> = vec![Box::new(Stuck(0.9)), Strategy::CmaEs.begin(&brief)];
        let mut portfolio = Portfolio::new(members, Sharing::Return(Price::Trial));
        watched(&mut portfolio, &brief.space, parallel, noisy(&mut seeded(seed, 50), noise), |portfolio, _| {
            let ledger = portfolio.ledger();
            let all: f64 = ledger.iter().map(|row| row.trials).sum();
            let under_way = parallel as f64;
            assert!(ledger.iter().all(|row| row.trials > 0.1 * all - 1.0 - under_way), "{ledger:?}");
        });
    }

    #[test]
    fn in_equal_parts_everybody_gets_as_much_but_for_what_is_under_way(seed in 0..1000_u64, parallel in 1..6_usize) {
        let brief = brief(seed);
        let members = MEMBERS.iter().map(|strategy| strategy.begin(&brief)).collect();
        let mut portfolio = Portfolio::new(members, Sharing::Equal);
        search(&mut portfolio, &brief.space, parallel, noisy(&mut seeded(seed, 50), 0.3));
        let trials: Vec<f64> = portfolio.ledger().iter().map(|row| row.trials).collect();
        let (most, least) = (trials.iter().copied().fold(0.0, f64::max), trials.iter().copied().fold(120.0, f64::min));
        prop_assert!(most - least <= 1.0 + parallel as f64, "{:?}", trials);
    }
}

/// Proposes one point for ever.
struct Stuck(f64);

impl Propose for Stuck {
    fn name(&self) -> &'static str {
        "stuck"
    }

    fn ask(&mut self, _seen: &History) -> Vec<f64> {
        vec![self.0; 4]
    }

    fn tell(&mut self, _seen: &History, _trial: &Trial) {}
}

/// Halves its distance to the minimum each time.
struct Closing(f64);

impl Propose for Closing {
    fn name(&self) -> &'static str {
        "closing"
    }

    fn ask(&mut self, _seen: &History) -> Vec<f64> {
        self.0 *= 0.9;
        [0.3, 0.8, 0.5, 0.1].iter().map(|m| m + self.0 * 0.2).collect()
    }

    fn tell(&mut self, _seen: &History, _trial: &Trial) {}
}

#[test]
fn who_earns_gets_most_and_who_fails_keeps_its_floor() {
    let space = brief(1).space;
    let members: Vec<Box<dyn Propose>> = vec![Box::new(Stuck(0.9)), Box::new(Closing(1.0))];
    let mut portfolio = Portfolio::new(members, Sharing::Return(Price::Trial));
    search(&mut portfolio, &space, 1, |point| {
        if point[0] > 0.85 { Outcome::Failed } else { Outcome::Measured(Measured::of(bowl(point))) }
    });
    let ledger = portfolio.ledger();
    assert!(ledger[1].trials > 4.0 * ledger[0].trials, "{ledger:?}");
    assert!(ledger[0].trials >= 10.0 && ledger[0].gain == 0.0 && ledger[1].gain > 1.0, "{ledger:?}");
}

#[test]
fn under_noise_luck_earns_nothing_on_average() {
    // Nobody improves anything: all that differs is noise.
    let mut gains = 0.0;
    for seed in 0..40 {
        let brief = brief(seed);
        let mut portfolio = Portfolio::of(&[Strategy::Random, Strategy::Genetic], &brief);
        let mut random = seeded(seed, 50);
        search(&mut portfolio, &brief.space, 1, |_| {
            Outcome::Measured(Measured { noise: Some(1.0), ..Measured::of(random.random_range(-1.7..1.7)) })
        });
        // The first feasible value is worth 1, whatever it is.
        gains += portfolio.ledger().iter().map(|row| row.gain).sum::<f64>() - 1.0;
    }
    assert!(gains / 40.0 < 0.5, "{}", gains / 40.0);
}

#[test]
fn an_exact_objective_is_checked_once() {
    let brief = brief(4);
    let mut portfolio = Portfolio::of(&[Strategy::Random], &brief);
    let points =
        search(&mut portfolio, &brief.space, 1, |point| Outcome::Measured(Measured::of(bowl(point))));
    let again = points.iter().enumerate().filter(|(place, point)| points[..*place].contains(point)).count();
    assert_eq!(again, 1);
}

#[test]
fn who_proposed_a_point_is_named_by_whoever_it_is_made_of() {
    let brief = brief(4);
    for strategy in [Strategy::Portfolio, Strategy::MultiPhase] {
        let mut proposing = strategy.begin(&brief);
        let (mut seen, mut authors) = (History::default(), std::collections::BTreeSet::new());
        for _ in 0..80 {
            let id = seen.begin(brief.space.snap(&proposing.ask(&seen)));
            authors.insert(proposing.author());
            let trial = seen.trial(id).expect("begun").clone();
            seen.end(id, Outcome::Measured(Measured::of(bowl(&trial.point))));
            proposing.tell(&seen, &seen.trial(id).expect("begun").clone());
        }
        // Whether measurements are exact is tried by the portfolio itself.
        authors.remove("portfolio");
        let names = ["annealing", "cma-es", "genetic", "spsa"];
        assert!(authors.len() > 1 && authors.iter().all(|name| names.contains(name)), "{authors:?}");
    }
    let mut clones = Portfolio::of(&[Strategy::Random, Strategy::Random], &brief);
    clones.ask(&History::default());
    assert_eq!(clones.author(), "random");
}

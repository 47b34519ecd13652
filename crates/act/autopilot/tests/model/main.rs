//! The state machine under every interleaving of a bounded number of faults: crashes before and after every append and every call,
//! calls that are refused, unheard of or half done, leases that lapse, a second manager, regressions, and what people order.
//!
//! `KANDELA_MODEL_FAULTS=2 cargo test --release -p kandela-autopilot --test model -- --nocapture` explores more than the one fault
//! that is the default where code is not optimised.

mod world;

use std::collections::HashSet;
use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Instant;

use world::{Mutant, Step, World, machine};

/// The longest history; all end before.
const LONGEST: usize = 160;

#[derive(Debug, Default)]
struct Explored {
    states: usize,
    transitions: usize,
    deepest: usize,
    promotions: usize,
    rollbacks: usize,
}

/// A rule that was broken, with the steps that led there.
struct Broken {
    what: String,
    steps: Vec<Step>,
}

/// Every state that is reachable with at most `faults` faults, breadth first.
fn explore(faults: u8, mutant: Mutant) -> Result<Explored, Broken> {
    let machine = machine();
    let mut explored = Explored::default();
    let (mut met, mut line) = (HashSet::new(), VecDeque::new());
    // Parents, to tell how a broken rule came about.
    let mut came_from: Vec<(usize, Option<Step>)> = vec![(0, None)];
    line.push_back((World::new(), 0_usize, 0_usize));
    while let Some((world, place, depth)) = line.pop_front() {
        explored.states += 1;
        explored.deepest = explored.deepest.max(depth);
        explored.promotions += usize::from(!world.ledger.promotions.is_empty());
        let broken = |what: String, last: Option<&Step>| {
            let mut steps: Vec<Step> = last.cloned().into_iter().collect();
            let mut at = place;
            while let (before, Some(step)) = &came_from[at] {
                steps.push(step.clone());
                at = *before;
            }
            steps.reverse();
            Broken { what, steps }
        };
        world.check_recovery(&machine, mutant).map_err(|what| broken(what, None))?;
        assert!(depth < LONGEST, "a history of {depth} steps does not end");
        let regular = if world.quiet() { Vec::new() } else { world.regular() };
        let wrong = if world.faults < faults { world.faults() } else { Vec::new() };
        let steps = regular.into_iter().map(|step| (step, 0)).chain(wrong.into_iter().map(|step| (step, 1)));
        let mut next = Vec::new();
        for (step, fault) in steps {
            explored.transitions += 1;
            let mut after = world.clone();
            after.faults += fault;
            after
                .take(&machine, mutant, &step)
                .and_then(|()| after.check())
                .map_err(|what| broken(what, Some(&step)))?;
            explored.rollbacks += usize::from(
                after.ledger.rows > world.ledger.rows
                    && after.ledger.promotions.len() < world.ledger.promotions.len(),
            );
            if met.insert(key(&after)) {
                next.push((after, step));
            }
        }
        for (after, step) in next {
            came_from.push((place, Some(step)));
            line.push_back((after, came_from.len() - 1, depth + 1));
        }
    }
    Ok(explored)
}

fn key(world: &World) -> u64 {
    let World { now, ledger, canary, rest, managers, goods, faults, .. } = world;
    let mut hasher = DefaultHasher::new();
    format!("{now} {faults} {ledger:?} {canary:?} {rest:?} {managers:?} {goods:?}").hash(&mut hasher);
    hasher.finish()
}

#[test]
fn whatever_fails_the_system_stands_at_good_settings_or_at_recorded_ones_on_trial() {
    let faults = std::env::var("KANDELA_MODEL_FAULTS")
        .ok()
        .and_then(|count| count.parse().ok())
        .unwrap_or(if cfg!(debug_assertions) { 1 } else { 2 });
    let began = Instant::now();
    let explored =
        explore(faults, Mutant::None).unwrap_or_else(|broken| panic!("{}\n{:#?}", broken.what, broken.steps));
    println!("{faults} faults: {explored:?} in {:.1} s", began.elapsed().as_secs_f64());
    assert!(
        explored.promotions > 0 && explored.rollbacks > 0,
        "nothing of interest was reached: {explored:?}"
    );
}

#[test]
fn the_checker_finds_what_is_broken_on_purpose() {
    let mutants = [
        Mutant::ActsBeforeWriting,
        Mutant::IgnoresEpochs,
        Mutant::NeverLapses,
        Mutant::ForgetsToRestore,
        Mutant::PromotesFromTheCanary,
        Mutant::PromotesBadSlices,
        Mutant::GivesUpAfterOneTry,
        Mutant::AppendsWithoutLooking,
    ];
    for mutant in mutants {
        let found = (0..=1).find_map(|faults| explore(faults, mutant).err().map(|broken| (faults, broken)));
        let (faults, broken) = found.unwrap_or_else(|| panic!("{mutant:?} was not found"));
        println!(
            "{mutant:?}: found with {faults} faults after {} steps: {}",
            broken.steps.len(),
            broken.what
        );
    }
}

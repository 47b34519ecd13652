//! What is known of the time to the next access, by age and class, and what an entry is worth that has reached an age.
//!
//! A *life* begins with an access and ends with the next one to the same entry. Per class it is counted at which age lives ended,
//! at which age they were given up (forgotten among the ghosts), and which ages those had that still go on: without the last,
//! only short lives would be known in time, and a class would look better than it is. That is Kaplan and Meier's estimate
//! (JASA 1958) with counts that decay.
//!
//! Worth is the Gittins index (Gittins 1979; for caches, Beckmann's hit density is its value for one horizon): the best ratio,
//! over all ages at which one might give up, of hits until then to the time in the cache until then. What a class has not seen often
//! is taken from all classes of its last distance, and what these have not seen from all.

use super::History;
use super::ages::{self, BUCKETS};

/// Classes by the last distance, by its logarithm; the lowest is for entries accessed once.
const BY_DISTANCE: usize = 14;
/// Classes by how the distance before compares, and by how often the entry was asked for.
const BY_REST: usize = 16;
/// What counts weigh after each update.
const DECAY: f32 = 0.85;
/// So many lives of the wider class are mixed into a class.
const PRIOR: f32 = 8.0;

/// The counts of all classes, and what follows from them.
#[derive(Clone)]
pub(crate) struct Curves {
    /// Ages are counted in units of two to this many accesses.
    shift: u32,
    classes: Vec<Option<Box<Class>>>,
    /// Worth by age where a class has no counts: for each last distance.
    by_distance: Vec<Worth>,
    widths: [f32; BUCKETS],
}

type Worth = [f32; BUCKETS];

#[derive(Clone)]
struct Class {
    lives: Lives,
    /// Ages of lives that go on.
    going_on: [f32; BUCKETS],
    worth: Worth,
}

/// Lives that ended, by the age at which they did.
#[derive(Clone)]
struct Lives {
    hit: [f32; BUCKETS],
    other: [f32; BUCKETS],
}

impl Curves {
    /// As long as nothing is known, the younger is worth more.
    pub(super) fn new() -> Curves {
        let worth = std::array::from_fn(|bucket| 1.0 / (1.0 + ages::start(bucket) as f32));
        Curves {
            shift: 0,
            classes: (0..BY_DISTANCE * BY_REST).map(|_| None).collect(),
            by_distance: vec![worth; BY_DISTANCE],
            widths: std::array::from_fn(|bucket| ages::width(bucket) as f32),
        }
    }

    /// A life ended with an access, one that stands for `weight` many.
    pub(super) fn ended(&mut self, history: &History, now: u64, weight: f32) {
        let (class, age) = self.place(history, now);
        self.class_mut(class).lives.hit[age] += weight;
    }

    /// A life was given up.
    pub(super) fn gave_up(&mut self, history: &History, now: u64) {
        let (class, age) = self.place(history, now);
        self.class_mut(class).lives.other[age] += 1.0;
    }

    /// A life goes on that stands for `weight` many.
    pub(super) fn goes_on(&mut self, history: &History, now: u64, weight: f32) {
        let (class, age) = self.place(history, now);
        self.class_mut(class).going_on[age] += weight;
    }

    /// Hits for the time that they take, from now on.
    pub(super) fn worth(&self, history: &History, now: u64) -> f32 {
        let (class, age) = self.place(history, now);
        match &self.classes[class] {
            Some(class) => class.worth[age],
            None => self.by_distance[class / BY_REST][age],
        }
    }

    /// Computes what entries are worth from all that was counted; then counts decay.
    pub(super) fn update(&mut self) {
        self.rank();
        for class in self.classes.iter_mut().flatten() {
            class.lives.hit.iter_mut().chain(&mut class.lives.other).for_each(|count| *count *= DECAY);
            class.going_on = [0.0; BUCKETS];
        }
    }

    fn rank(&mut self) {
        let mut all = Lives::none();
        let mut wider = vec![Lives::none(); BY_DISTANCE];
        for (number, class) in self.classes.iter().enumerate() {
            if let Some(class) = class {
                wider[number / BY_REST].add(&class.all());
            }
        }
        wider.iter().for_each(|lives| all.add(lives));
        let all = all.share();
        for (worth, lives) in self.by_distance.iter_mut().zip(&mut wider) {
            lives.add_times(&all, PRIOR);
            *worth = worth_by_age(lives, &self.widths);
            *lives = lives.share();
        }
        for (number, class) in self.classes.iter_mut().enumerate() {
            if let Some(class) = class {
                let mut lives = class.all();
                lives.add_times(&wider[number / BY_REST], PRIOR);
                class.worth = worth_by_age(&lives, &self.widths);
            }
        }
    }

    /// Ages are counted in units twice as long from now on.
    pub(super) fn coarsen(&mut self) {
        self.shift += 1;
        let classes = std::mem::take(&mut self.classes);
        self.classes = (0..BY_DISTANCE * BY_REST).map(|_| None).collect();
        for (number, class) in classes.into_iter().enumerate() {
            let Some(class) = class else { continue };
            // A distance is in the class below now, but for the two lowest: none, and the shortest.
            let by_distance = number / BY_REST;
            let below = if by_distance > 1 { number - BY_REST } else { number };
            self.class_mut(below).add_coarsened(&class);
        }
        self.rank();
    }

    /// The same for one who counts two to the power of `doublings` as many accesses in the same time.
    pub(crate) fn slower(&self, doublings: u32) -> Curves {
        Curves { shift: self.shift + doublings, ..self.clone() }
    }

    /// How many accesses the unit of ages is.
    pub(super) fn unit(&self) -> u64 {
        1 << self.shift
    }

    fn class_mut(&mut self, class: usize) -> &mut Class {
        let worth = &self.by_distance[class / BY_REST];
        self.classes[class].get_or_insert_with(|| Box::new(Class::starting_from(worth)))
    }

    fn place(&self, history: &History, now: u64) -> (usize, usize) {
        let age = now.saturating_sub(history.accessed) >> self.shift;
        (self.class(history), ages::bucket(age))
    }

    fn class(&self, history: &History) -> usize {
        let History { distance, before, asked, .. } = *history;
        let by_distance = match distance {
            0 => 0,
            _ => ((distance >> self.shift).max(1).ilog2() as usize + 1).min(BY_DISTANCE - 1),
        };
        let by_before = match (distance, before) {
            (0, _) => 0,
            (_, 0) => 1,
            _ if before > distance.saturating_mul(2) => 2,
            _ if distance > before.saturating_mul(2) => 3,
            _ => 0,
        };
        let by_asked = match asked {
            0..=1 => 0,
            2 => 1,
            3..=4 => 2,
            _ => 3,
        };
        by_distance * BY_REST + by_before * 4 + by_asked
    }
}

impl Class {
    fn starting_from(worth: &Worth) -> Class {
        Class { lives: Lives::none(), going_on: [0.0; BUCKETS], worth: *worth }
    }

    /// Those that ended and those that go on.
    fn all(&self) -> Lives {
        let mut lives = self.lives.clone();
        lives.other.iter_mut().zip(self.going_on).for_each(|(other, going_on)| *other += going_on);
        lives
    }

    fn add_coarsened(&mut self, finer: &Class) {
        for bucket in 0..BUCKETS {
            let coarser = ages::bucket(ages::start(bucket) / 2);
            self.lives.hit[coarser] += finer.lives.hit[bucket];
            self.lives.other[coarser] += finer.lives.other[bucket];
            self.going_on[coarser] += finer.going_on[bucket];
        }
    }
}

impl Lives {
    fn none() -> Lives {
        Lives { hit: [0.0; BUCKETS], other: [0.0; BUCKETS] }
    }

    fn add(&mut self, lives: &Lives) {
        self.add_times(lives, 1.0);
    }

    fn add_times(&mut self, lives: &Lives, times: f32) {
        self.hit.iter_mut().zip(lives.hit).for_each(|(sum, count)| *sum += times * count);
        self.other.iter_mut().zip(lives.other).for_each(|(sum, count)| *sum += times * count);
    }

    /// The same, as shares of all.
    fn share(&self) -> Lives {
        let all: f32 = self.hit.iter().chain(&self.other).sum();
        let mut share = Lives::none();
        share.add_times(self, 1.0 / all.max(f32::MIN_POSITIVE));
        share
    }
}

/// The Gittins index at each age. From the last bucket back, runs of buckets are kept whose ratios of hits to time fall; a
/// bucket joins the run after it as long as that one's ratio is better than its own: what is ahead is worth waiting for.
fn worth_by_age(lives: &Lives, widths: &[f32; BUCKETS]) -> Worth {
    let mut worth = [0.0; BUCKETS];
    let mut runs: Vec<(f32, f32)> = Vec::with_capacity(BUCKETS);
    let mut alive = 0.0;
    for age in (0..BUCKETS).rev() {
        let ending = lives.hit[age] + lives.other[age];
        alive += ending;
        let time = widths[age] * (alive - ending / 2.0).max(1e-9);
        let mut run = (lives.hit[age], time);
        while let Some((hits, time)) = runs.pop_if(|(hits, time)| *hits * run.1 > run.0 * *time) {
            run = (run.0 + hits, run.1 + time);
        }
        worth[age] = run.0 / run.1;
        runs.push(run);
    }
    worth
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By trying every age to give up at.
    fn best_ratio(lives: &Lives, widths: &[f32; BUCKETS], from: usize) -> f32 {
        let alive = |age: usize| -> f32 { (age..BUCKETS).map(|a| lives.hit[a] + lives.other[a]).sum() };
        let (mut hits, mut time, mut best) = (0.0, 0.0, 0.0_f32);
        for (age, width) in widths.iter().enumerate().skip(from) {
            hits += lives.hit[age];
            time += width * (alive(age) - (lives.hit[age] + lives.other[age]) / 2.0).max(1e-9);
            best = best.max(hits / time);
        }
        best
    }

    #[test]
    fn worth_is_the_best_ratio_over_all_ages_to_give_up_at() {
        let mut lives = Lives::none();
        for bucket in 0..BUCKETS {
            lives.hit[bucket] = (bucket * 7 % 11) as f32;
            lives.other[bucket] = (bucket * 5 % 13) as f32;
        }
        let widths = std::array::from_fn(|bucket| ages::width(bucket) as f32);
        let worth = worth_by_age(&lives, &widths);
        for (age, found) in worth.iter().enumerate() {
            let best = best_ratio(&lives, &widths, age);
            assert!((found - best).abs() <= 1e-4 * best, "age {age}: {found} is not {best}");
        }
    }

    #[test]
    fn in_a_loop_the_entry_that_is_due_is_worth_most() {
        let mut curves = Curves::new();
        let looped = History { accessed: 0, distance: 1000, before: 1000, asked: 9 };
        for _ in 0..100 {
            curves.ended(&looped, 1000, 1.0);
        }
        curves.update();
        assert!(curves.worth(&looped, 900) > 2.0 * curves.worth(&looped, 10));
    }

    #[test]
    fn lives_that_go_on_make_a_class_worth_less() {
        let once = History { accessed: 0, distance: 0, before: 0, asked: 1 };
        let worth_with = |going_on: f32| {
            let mut curves = Curves::new();
            for _ in 0..10 {
                curves.ended(&once, 5, 1.0);
            }
            curves.goes_on(&once, 100, going_on);
            curves.update();
            curves.worth(&once, 1)
        };
        assert!(worth_with(1000.0) < worth_with(10.0) / 5.0);
    }

    #[test]
    fn what_was_learned_survives_longer_units() {
        let mut curves = Curves::new();
        let history = History { accessed: 0, distance: 4000, before: 4000, asked: 9 };
        for _ in 0..1000 {
            curves.ended(&history, 4000, 1.0);
        }
        curves.update();
        let before = curves.worth(&history, 3000) / curves.worth(&history, 10);
        curves.coarsen();
        let after = curves.worth(&history, 3000) / curves.worth(&history, 10);
        assert!((after / before - 1.0).abs() < 0.5, "{before} {after}");
    }
}

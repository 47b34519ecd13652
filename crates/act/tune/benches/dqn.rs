//! What one step of learning and one of acting cost: `cargo bench -p kandela-tune`.

use divan::{Bencher, black_box};
use kandela_tune::dqn::{Dqn, End, Settings, Transition};

fn main() {
    divan::main();
}

/// A network past its warm-up, which has seen a point go round.
fn network(hidden: Vec<usize>) -> Dqn {
    let settings = Settings { hidden, warm_up: 1000, ..Settings::default() };
    let mut dqn = Dqn::new(4, 3, settings, 1).expect("settings within their ranges");
    let place = |step: u16| {
        let angle = f32::from(step) * 0.1;
        [angle.sin(), angle.cos(), (2.0 * angle).sin(), (2.0 * angle).cos()]
    };
    for step in 0..2000_u16 {
        let (observation, next) = (place(step), place(step + 1));
        let action = usize::from(step % 3);
        let transition = Transition {
            observation: &observation,
            action,
            reward: observation[action],
            next: &next,
            end: if step % 100 == 99 { End::Truncated } else { End::Goes },
        };
        dqn.observe(&transition).expect("a transition that fits");
    }
    dqn
}

#[divan::bench(args = [32, 64, 128])]
fn learn(bencher: Bencher<'_, '_>, width: usize) {
    let mut dqn = network(vec![width, width]);
    bencher.bench_local(|| black_box(dqn.learn()));
}

#[divan::bench(args = [32, 64, 128])]
fn greedy(bencher: Bencher<'_, '_>, width: usize) {
    let mut dqn = network(vec![width, width]);
    bencher.bench_local(|| dqn.greedy(black_box(&[0.1, -0.2, 0.3, 0.4])));
}

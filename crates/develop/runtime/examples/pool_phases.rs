use kandela_runtime::pool::Sizer;
use kandela_runtime::pool::simulate::{Phase, Request, Served, Shape, requests, run};
use kandela_runtime::pool::usl::Usl;
use std::time::Duration;
fn p99(mut v: Vec<f64>) -> f64 {
    v.sort_by(f64::total_cmp);
    if v.is_empty() { 0.0 } else { v[(v.len() * 99).div_ceil(100) - 1] }
}
const L: f64 = 300.0;
fn day(seed: u64) -> Vec<Phase> {
    let u = |service, sigma, kappa| Usl { service, sigma, kappa };
    let ph = |rate, downstream, shape| Phase { length: Duration::from_secs_f64(L), rate, downstream, shape };
    let calm = u(0.02, 0.02, 0.0005);
    let tight = u(0.02, 0.05, 0.004);
    let ln = Shape::LogNormal(1.0);
    let hy = Shape::Hyperexponential(2.0);
    match seed {
        1 => vec![
            ph(100.0, calm, ln),
            ph(500.0, calm, ln),
            ph(640.0, calm, ln),
            ph(200.0, calm, ln),
            ph(200.0, tight, ln),
            ph(270.0, tight, ln),
            ph(300.0, u(0.02, 0.01, 0.0), ln),
            ph(700.0, u(0.04, 0.01, 0.0), hy),
            ph(50.0, calm, hy),
        ],
        2 => vec![
            ph(600.0, calm, ln),
            ph(250.0, tight, hy),
            ph(80.0, tight, hy),
            ph(280.0, tight, ln),
            ph(700.0, u(0.02, 0.02, 0.0003), hy),
            ph(60.0, u(0.05, 0.1, 0.01), ln),
            ph(30.0, u(0.05, 0.1, 0.01), ln),
            ph(400.0, calm, hy),
        ],
        _ => vec![
            ph(30.0, u(0.1, 0.03, 0.002), ln),
            ph(65.0, u(0.1, 0.03, 0.002), ln),
            ph(90.0, u(0.1, 0.03, 0.001), hy),
            ph(90.0, u(0.05, 0.03, 0.003), hy),
            ph(130.0, u(0.05, 0.03, 0.003), ln),
            ph(20.0, u(0.05, 0.03, 0.003), ln),
        ],
    }
}
fn main() {
    let which: u64 = std::env::args().nth(1).and_then(|a| a.parse().ok()).unwrap_or(1);
    let verbose = std::env::args().nth(2).is_some();
    let phases = day(which);
    let reqs = requests(&phases, which * 77);
    println!("{} requests", reqs.len());
    // fixed: each phase alone
    let start = 16usize;
    let mut sizer = Sizer::new(1..=64).unwrap();
    let mut trace: Vec<(f64, usize)> = vec![];
    let served = run(&phases, &reqs, start, Duration::from_secs(1), |now, sample, size| {
        let d = sizer.update(sample, size);
        if verbose && d.is_none() && (now.as_secs_f64() as u64) % 5 == 0 {
            if let Some(a) = sizer.advice() {
                println!(
                    ". {:7.1} {size} -> full {} lam {:.0} waiting {} best {} in {:?} conf {:.2} fit {:?} most {:?}",
                    now.as_secs_f64(),
                    a.is_full,
                    a.load.rate,
                    sample.waiting,
                    a.size,
                    a.interval,
                    a.confidence,
                    a.downstream,
                    sizer.fit().map(|f| (f.ended, f.most_in_use, f.dispersion))
                );
            }
        }
        if let Some(d) = d {
            let d2 = d.value;
            if verbose {
                let a = sizer.advice().unwrap();
                println!(
                    "{:7.1} {size:3}->{d2:3} full {} n {:.1} lam {:.0} p99 {:.1}ms waiting {} best {} in {:?} conf {:.2} fit a={:.1}ms s={:.3} k={:.5} knee {:.1} | {}",
                    now.as_secs_f64(),
                    a.is_full,
                    sample.mean_in_use(),
                    a.load.rate,
                    sample.waits.quantile(0.99).unwrap_or(0.0) * 1e3,
                    sample.waiting,
                    a.size,
                    a.interval,
                    a.confidence,
                    a.downstream.service * 1e3,
                    a.downstream.sigma,
                    a.downstream.kappa,
                    a.downstream.knee(),
                    d.reason.why
                );
            }
            trace.push((now.as_secs_f64(), d2));
            return d2;
        }
        size
    });
    for (i, p) in phases.iter().enumerate() {
        let mine: Vec<Request> = reqs
            .iter()
            .filter(|r| r.phase == i)
            .map(|r| Request { phase: 0, at: r.at - L * i as f64, work: r.work })
            .collect();
        let one = [*p];
        let sizes: Vec<usize> = (1..=64).collect();
        let half = |sizes: Vec<usize>| -> Vec<(usize, [f64; 4])> {
            sizes
                .into_iter()
                .map(|size| {
                    let served = run(&one, &mine, size, Duration::from_secs(1000), |_, _, s| s);
                    (size, scores(&served, 0, 0.0))
                })
                .collect()
        };
        let all = std::thread::scope(|s| {
            let h = s.spawn(|| half(sizes.iter().copied().filter(|x| x % 2 == 0).collect()));
            let mut a = half(sizes.iter().copied().filter(|x| x % 2 == 1).collect());
            a.extend(h.join().unwrap());
            a.sort_by_key(|x| x.0);
            a
        });
        let ours = scores(&served, i, L * i as f64);
        let k = p.downstream.knee();
        let ended = trace.iter().filter(|t| t.0 < L * (i + 1) as f64).next_back().map_or(start, |t| t.1);
        let changes = trace.iter().filter(|t| t.0 >= L * i as f64 && t.0 < L * (i + 1) as f64).count();
        print!(
            "phase {i} rate {:4.0} knee {k:5.1} rho {:.2} | size at end {ended} changes {changes} |",
            p.rate,
            p.rate / p.downstream.throughput(k.min(64.0))
        );
        for (j, name) in ["wait", "wait*", "total", "total*"].iter().enumerate() {
            let best = all.iter().min_by(|a, b| a.1[j].total_cmp(&b.1[j])).unwrap();
            let fl = 0.001;
            print!(
                " {name} {:.1} (best {} {:.1}) {:.2}",
                ours[j] * 1e3,
                best.0,
                best.1[j] * 1e3,
                ours[j].max(fl) / best.1[j].max(fl)
            );
        }
        println!();
    }
}
fn scores(served: &[Served], phase: usize, begins: f64) -> [f64; 4] {
    let v = |from: f64, f: fn(&Served) -> f64| {
        p99(served
            .iter()
            .filter(|s| s.request.phase == phase && s.request.at >= begins + from)
            .map(f)
            .collect())
    };
    [v(0.0, |s| s.wait), v(60.0, |s| s.wait), v(0.0, |s| s.total), v(60.0, |s| s.total)]
}

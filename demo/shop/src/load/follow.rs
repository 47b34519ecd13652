//! Load whose rate somebody else says from time to time.

use std::io::BufRead as _;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::Plan;
use super::report::Event;
use super::send::{Sender, arrivals_rng};
use crate::downstream::HttpClient;
use crate::random;

/// How long nobody comes where nobody is expected.
const NEVER: Duration = Duration::from_secs(86_400);

/// Sends as many requests a second as standard input says, until it ends.
///
/// # Errors
/// At a line that is no rate.
pub(super) async fn standard_input(
    plan: &Plan,
    client: HttpClient,
    told: UnboundedSender<Event>,
) -> Result<()> {
    let (sender, rates) = unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    follow(plan, client, rates, told).await
}

async fn follow(
    plan: &Plan,
    client: HttpClient,
    mut rates: UnboundedReceiver<String>,
    told: UnboundedSender<Event>,
) -> Result<()> {
    let mut sender = Sender::new(plan, client, told);
    let mut rng = arrivals_rng(plan.seed);
    let begin = Instant::now();
    let (mut minutes, mut rate) = (0_u32, 0.0);
    // Arrivals have no memory: where the rate changes, the wait for the next one may begin anew.
    let mut wait = |rate: f64| match random::exponential(&mut rng) / rate {
        seconds if seconds < NEVER.as_secs_f64() => Duration::from_secs_f64(seconds),
        _ => NEVER,
    };
    let mut due = begin + NEVER;
    loop {
        let next_minute = begin + plan.minute() * (minutes + 1);
        tokio::select! {
            biased;
            line = rates.recv() => {
                let Some(line) = line else { break };
                rate = read(&line)? * plan.scale;
                due = Instant::now() + wait(rate);
            }
            () = tokio::time::sleep_until(next_minute.min(due).into()) => {
                if next_minute <= due {
                    minutes += 1;
                    sender.go_on_to(minutes as usize);
                } else {
                    sender.send(due);
                    due += wait(rate);
                }
            }
        }
    }
    sender.go_on_to(minutes as usize + 1);
    Ok(())
}

fn read(line: &str) -> Result<f64> {
    match line.trim().parse() {
        Ok(rate) if (0.0..=1e6).contains(&rate) => Ok(rate),
        _ => bail!("standard input says {line:?}; a line is requests a second, 0 to 1000000"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_rate_or_is_told() {
        assert_eq!(read(" 12.5 ").ok(), Some(12.5));
        for line in ["", "many", "-1", "inf", "NaN"] {
            assert!(read(line).is_err_and(|error| error.to_string().contains("requests a second")), "{line}");
        }
    }
}

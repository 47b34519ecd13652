//! The laws of distances and of envelopes.

use std::fmt::Debug;

use super::{Broken, agree, enough};
use crate::envelope::{Distance, Envelope};

/// The laws of [`Distance`], the triangle inequality up to a `rounding` of the distances' own unit.
pub fn distance<D: Distance>(
    distance: &D,
    points: impl IntoIterator<Item = D::Point>,
    rounding: f64,
) -> Result<(), Broken>
where
    D::Point: Debug,
{
    const TRIANGLE: &str = "d(x, z) ≤ d(x, y) + d(y, z)";
    let points: Vec<D::Point> = points.into_iter().collect();
    enough(TRIANGLE, 3, points.len())?;
    for x in &points {
        agree("d(x, x) = 0", &[x], &distance.d(x, x), &0.0, f64::eq)?;
        for y in &points {
            agree("0 ≤ d(x, y)", &[x, y], &0.0, &distance.d(x, y), |zero, d| zero <= d)?;
            for z in &points {
                let by_way = distance.d(x, y) + distance.d(y, z);
                agree(TRIANGLE, &[x, y, z], &distance.d(x, z), &by_way, |direct, by_way| {
                    *direct <= by_way + rounding
                })?;
            }
        }
    }
    Ok(())
}

/// The laws of [`Envelope`], up to a `rounding` of the values' own unit, seen at `points` and where was measured:
///
/// - both ends change no faster than the distance allows, and pass through every measurement within its noise if the measurements
///   are consistent: each is a quantity that is possible, so no narrower bounds hold;
/// - the quantity of which that is known lies between them: a possible quantity lies below `upper` and above `lower`, which is shown
///   of each other's end;
/// - one measurement more never raises `upper` nor lowers `lower`;
/// - `lower ≤ upper` everywhere exactly if the measurements are consistent.
pub fn envelope<D>(
    envelope: &Envelope<D>,
    points: impl IntoIterator<Item = D::Point>,
    rounding: f64,
) -> Result<(), Broken>
where
    D: Distance + Clone,
    D::Point: Clone + Debug,
{
    const CONSISTENT: &str = "lower ≤ upper where was measured, exactly if consistent";
    let measured = envelope.measured();
    enough(CONSISTENT, 1, measured.len())?;
    let points: Vec<D::Point> = points.into_iter().chain(measured.iter().map(|m| m.point.clone())).collect();
    let within = |low: &f64, high: &f64| *low <= *high + rounding;
    for x in &points {
        for y in &points {
            let allowed = envelope.distance().d(x, y);
            let rise = |end: fn(&Envelope<D>, &D::Point) -> f64| end(envelope, y) - end(envelope, x);
            agree("upper(y) − upper(x) ≤ d(x, y)", &[x, y], &rise(Envelope::upper), &allowed, within)?;
            agree("lower(y) − lower(x) ≤ d(x, y)", &[x, y], &rise(Envelope::lower), &allowed, within)?;
        }
    }
    let crossing = points.iter().map(|x| envelope.lower(x) - envelope.upper(x)).fold(f64::MIN, f64::max);
    match envelope.consistent() {
        Ok(()) => {
            agree(CONSISTENT, &[&measured.len()], &crossing, &0.0, within)?;
            for m in measured {
                let ends = [envelope.upper(&m.point), envelope.lower(&m.point)];
                for end in ends {
                    let x = &m.point;
                    agree(
                        "|upper(pᵢ) − vᵢ|, |lower(pᵢ) − vᵢ| ≤ noiseᵢ",
                        &[x],
                        &(end - m.value).abs(),
                        &m.noise,
                        within,
                    )?;
                }
            }
        }
        Err(told) => agree(CONSISTENT, &[&told], &told.excess, &crossing, |a, b| (a - b).abs() <= rounding)?,
    }
    let mut growing = Envelope::new(envelope.distance().clone());
    for m in measured {
        let before = growing.clone();
        // Taken over from an envelope, so it is a measurement.
        let _ = growing.measure(m.point.clone(), m.value, m.noise);
        for x in &points {
            let (uppers, lowers) = ((growing.upper(x), before.upper(x)), (before.lower(x), growing.lower(x)));
            agree("upper of more ≤ upper of fewer", &[x], &uppers.0, &uppers.1, |a, b| a <= b)?;
            agree("lower of fewer ≤ lower of more", &[x], &lowers.0, &lowers.1, |a, b| a <= b)?;
        }
    }
    Ok(())
}

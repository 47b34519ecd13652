//! A multilayer perceptron with dueling heads, and its gradient.
//!
//! Hidden layers are rectified. The last layer has one column for the value of the state and one for the advantage of each action;
//! `Q(s, a) = V(s) + A(s, a) − mean A(s, ·)` (Wang et al., 2016, equation 9).

use rand::Rng;

use super::matrix::{LANES, Left, multiply, padded, transpose};
use crate::random::Random;

/// How wide the layers are: observation, hidden layers, heads.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shape {
    widths: Vec<usize>,
    actions: usize,
}

impl Shape {
    /// Widths of hidden layers are multiples of [`LANES`].
    pub(super) fn new(observation: usize, hidden: &[usize], actions: usize) -> Shape {
        debug_assert!(hidden.iter().all(|width| width % LANES == 0));
        let mut widths = vec![observation];
        widths.extend_from_slice(hidden);
        widths.push(padded(actions + 1));
        Shape { widths, actions }
    }

    /// How many weights there are.
    pub(super) fn weights(&self) -> usize {
        self.widths.windows(2).map(|pair| (pair[0] + 1) * pair[1]).sum()
    }

    /// Weights to begin with: hidden layers as He et al. (2015) draw them, biases and heads at 0, so that no action is preferred.
    pub(super) fn draw(&self, random: &mut Random) -> Vec<f32> {
        let mut weights = Vec::with_capacity(self.weights());
        for (layer, pair) in self.widths.windows(2).enumerate() {
            let bound = if layer + 2 == self.widths.len() { 0.0 } else { (6.0 / pair[0] as f32).sqrt() };
            weights.extend((0..pair[0] * pair[1]).map(|_| bound * (2.0 * random.random::<f32>() - 1.0)));
            weights.extend(std::iter::repeat_n(0.0, pair[1]));
        }
        weights
    }

    fn heads(&self) -> usize {
        padded(self.actions + 1)
    }
}

/// What a pass leaves behind: the output of each layer for a batch.
#[derive(Clone, Debug)]
pub(super) struct Pass {
    batch: usize,
    /// The input first.
    layers: Vec<Vec<f32>>,
    /// `batch × actions`.
    values: Vec<f32>,
    strip: Vec<f32>,
}

impl Pass {
    /// Room for `batch` observations.
    pub(super) fn new(shape: &Shape, batch: usize) -> Pass {
        let layers = shape.widths.iter().map(|width| vec![0.0; width * batch]).collect();
        Pass { batch, layers, values: vec![0.0; batch * shape.actions], strip: Vec::new() }
    }

    /// The observations, `batch × observation`, to be filled before [`Pass::forward`].
    pub(super) fn input(&mut self) -> &mut [f32] {
        &mut self.layers[0]
    }

    /// Action values, `batch × actions`.
    pub(super) fn forward(&mut self, shape: &Shape, weights: &[f32]) -> &[f32] {
        let mut rest = weights;
        let last = shape.widths.len() - 2;
        for (layer, pair) in shape.widths.windows(2).enumerate() {
            let (matrix, after) = rest.split_at(pair[0] * pair[1]);
            let (bias, after) = after.split_at(pair[1]);
            rest = after;
            let (below, above) = self.layers.split_at_mut(layer + 1);
            let (input, out) = (&below[layer], &mut above[0]);
            multiply(Left::plain(input, self.batch, pair[0]), matrix, pair[1], out, &mut self.strip);
            for row in out.chunks_exact_mut(pair[1]) {
                for (number, bias) in row.iter_mut().zip(bias) {
                    let sum = *number + bias;
                    *number = if layer < last { sum.max(0.0) } else { sum };
                }
            }
        }
        let heads = self.layers[last + 1].chunks_exact(shape.heads());
        for (values, heads) in self.values.chunks_exact_mut(shape.actions).zip(heads) {
            let advantages = &heads[1..=shape.actions];
            let mean = advantages.iter().sum::<f32>() / shape.actions as f32;
            for (value, advantage) in values.iter_mut().zip(advantages) {
                *value = heads[0] + advantage - mean;
            }
        }
        &self.values
    }

    /// The values of the last pass.
    pub(super) fn values(&self) -> &[f32] {
        &self.values
    }
}

/// Room for a gradient.
#[derive(Clone, Debug)]
pub(super) struct Gradient {
    /// One number for each weight.
    pub(super) slopes: Vec<f32>,
    /// The slope of the loss by the output of each layer.
    layers: Vec<Vec<f32>>,
    turned: Vec<f32>,
    strip: Vec<f32>,
}

impl Gradient {
    pub(super) fn new(shape: &Shape, batch: usize) -> Gradient {
        Gradient {
            slopes: vec![0.0; shape.weights()],
            layers: shape.widths.iter().map(|width| vec![0.0; width * batch]).collect(),
            turned: Vec::new(),
            strip: Vec::new(),
        }
    }

    /// The gradient by all weights, of a loss whose slope by the value of action `actions[i]` in row `i` of `pass` is `slopes[i]`, and 0 by
    /// the values of other actions.
    pub(super) fn backward(
        &mut self,
        shape: &Shape,
        weights: &[f32],
        pass: &Pass,
        actions: &[usize],
        slopes: &[f32],
    ) {
        let last = shape.widths.len() - 1;
        let heads = self.layers[last].chunks_exact_mut(shape.heads());
        for ((row, action), slope) in heads.zip(actions).zip(slopes) {
            row[0] = *slope;
            row[1..=shape.actions].fill(-slope / shape.actions as f32);
            row[1 + action] += slope;
        }
        let mut end = shape.weights();
        for layer in (0..last).rev() {
            let (inputs, outputs) = (shape.widths[layer], shape.widths[layer + 1]);
            let begin = end - (inputs + 1) * outputs;
            let (below, above) = self.layers.split_at_mut(layer + 1);
            let (by_input, by_output) = (&mut below[layer], &above[0]);

            let (by_matrix, by_bias) = self.slopes[begin..end].split_at_mut(inputs * outputs);
            let input = Left::transposed(&pass.layers[layer], pass.batch, inputs);
            multiply(input, by_output, outputs, by_matrix, &mut self.strip);
            by_bias.fill(0.0);
            for row in by_output.chunks_exact(outputs) {
                for (sum, slope) in by_bias.iter_mut().zip(row) {
                    *sum += slope;
                }
            }

            if layer > 0 {
                transpose(&weights[begin..begin + inputs * outputs], outputs, &mut self.turned);
                let by_output = Left::plain(by_output, pass.batch, outputs);
                multiply(by_output, &self.turned, inputs, by_input, &mut self.strip);
                for (slope, output) in by_input.iter_mut().zip(&pass.layers[layer]) {
                    *slope = if *output > 0.0 { *slope } else { 0.0 };
                }
            }
            end = begin;
        }
    }

    /// Shortens the gradient to `longest`, where it is longer.
    pub(super) fn clip(&mut self, longest: f32) {
        let length = self.slopes.iter().map(|slope| slope * slope).sum::<f32>().sqrt();
        if length > longest {
            let factor = longest / length;
            self.slopes.iter_mut().for_each(|slope| *slope *= factor);
        }
    }
}

/// Adam (Kingma and Ba, 2015).
#[derive(Clone, Debug)]
pub(super) struct Adam {
    mean: Vec<f32>,
    square: Vec<f32>,
    /// The decays to the power of the steps so far.
    decayed: (f32, f32),
}

impl Adam {
    const DECAY: (f32, f32) = (0.9, 0.999);
    const FLOOR: f32 = 1e-5;

    pub(super) fn new(weights: usize) -> Adam {
        Adam { mean: vec![0.0; weights], square: vec![0.0; weights], decayed: (1.0, 1.0) }
    }

    pub(super) fn step(&mut self, weights: &mut [f32], slopes: &[f32], rate: f32) {
        self.decayed = (self.decayed.0 * Adam::DECAY.0, self.decayed.1 * Adam::DECAY.1);
        let rate = rate / (1.0 - self.decayed.0);
        let unbias = 1.0 / (1.0 - self.decayed.1);
        let moments = self.mean.iter_mut().zip(&mut self.square);
        for ((weight, slope), (mean, square)) in weights.iter_mut().zip(slopes).zip(moments) {
            *mean = Adam::DECAY.0 * *mean + (1.0 - Adam::DECAY.0) * slope;
            *square = Adam::DECAY.1 * *square + (1.0 - Adam::DECAY.1) * slope * slope;
            *weight -= rate * *mean / ((*square * unbias).sqrt() + Adam::FLOOR);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::seeded;

    #[test]
    fn the_gradient_is_what_differences_of_the_loss_say() {
        let shape = Shape::new(3, &[16, 8], 3);
        let mut random = seeded(1, 0);
        let mut weights: Vec<f32> = (0..shape.weights()).map(|_| random.random::<f32>() - 0.5).collect();
        let (actions, slopes) = ([0, 2, 1, 2, 0], [0.3, -1.0, 0.7, 0.2, 0.5]);
        let mut pass = Pass::new(&shape, 5);
        for number in pass.input() {
            *number = 2.0 * random.random::<f32>() - 1.0;
        }
        pass.forward(&shape, &weights);
        let mut gradient = Gradient::new(&shape, 5);
        gradient.backward(&shape, &weights, &pass, &actions, &slopes);

        let mut loss = |weights: &[f32]| {
            let values = pass.forward(&shape, weights);
            let chosen = actions.iter().enumerate().map(|(row, action)| values[row * 3 + action]);
            chosen.zip(slopes).map(|(value, slope)| f64::from(value * slope)).sum::<f64>()
        };
        for at in 0..weights.len() {
            let (kept, step) = (weights[at], 1e-2);
            weights[at] = kept + step;
            let above = loss(&weights);
            weights[at] = kept - step;
            let difference = (above - loss(&weights)) / f64::from(2.0 * step);
            weights[at] = kept;
            let found = f64::from(gradient.slopes[at]);
            assert!(
                (difference - found).abs() < 2e-2,
                "weight {at}: {difference} by differences, {found} found"
            );
        }
    }

    #[test]
    fn a_long_gradient_is_shortened_and_keeps_its_direction() {
        let mut gradient = Gradient::new(&Shape::new(1, &[], 1), 1);
        gradient.slopes.fill(0.0);
        gradient.slopes[..2].copy_from_slice(&[3.0, 4.0]);
        gradient.clip(1.0);
        assert!((gradient.slopes[0] - 0.6).abs() < 1e-6 && (gradient.slopes[1] - 0.8).abs() < 1e-6);
        gradient.clip(1.5);
        assert!((gradient.slopes[0] - 0.6).abs() < 1e-6);
    }

    #[test]
    fn adam_descends_a_bowl() {
        let mut weights = vec![3.0, -2.0];
        let mut adam = Adam::new(2);
        for _ in 0..2000 {
            let slopes: Vec<f32> = weights.iter().map(|weight| 2.0 * weight).collect();
            adam.step(&mut weights, &slopes, 0.01);
        }
        assert!(weights.iter().all(|weight| weight.abs() < 1e-2), "{weights:?}");
    }
}

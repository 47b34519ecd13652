//! What customers do: they look around, look closely, put something in the basket, and some pay.

use bytes::Bytes;
use http::Method;
use rand::Rng;
use rand::rngs::StdRng;

use crate::random::Zipf;
use crate::services::{CATEGORIES, ITEMS, PAGES};

/// Customers in the shop at a time.
const CUSTOMERS: usize = 200;

/// Draws requests.
pub(super) struct Customers {
    rng: StdRng,
    items: Zipf,
    categories: Zipf,
    pages: Zipf,
    there: Vec<Customer>,
}

struct Customer {
    session: String,
    basket: usize,
}

/// A request.
#[derive(Debug, PartialEq)]
pub(super) struct Step {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) session: String,
    pub(super) body: Bytes,
}

impl Customers {
    pub(super) fn new(mut rng: StdRng) -> Customers {
        let there = (0..CUSTOMERS).map(|_| Customer::new(&mut rng)).collect();
        Customers {
            rng,
            items: Zipf::new(ITEMS as usize, 1.0),
            categories: Zipf::new(CATEGORIES as usize, 0.8),
            pages: Zipf::new(PAGES as usize, 1.2),
            there,
        }
    }

    /// What some customer does next: 70 % browse, 20 % look at an item, 7 % put one in the basket, 3 % pay (who has nothing in the
    /// basket takes something first).
    pub(super) fn step(&mut self) -> Step {
        let at = self.rng.random_range(0..self.there.len());
        let act: f64 = self.rng.random();
        if act < 0.7 {
            let (category, page) = (self.categories.draw(&mut self.rng), self.pages.draw(&mut self.rng));
            return self.get(at, format!("/browse?category={category}&page={page}"));
        }
        if act < 0.9 {
            let item = self.items.draw(&mut self.rng);
            return self.get(at, format!("/items/{item}"));
        }
        if act < 0.97 || self.there[at].basket == 0 {
            self.there[at].basket += 1;
            let (item, quantity) = (self.items.draw(&mut self.rng), self.rng.random_range(1..4));
            let body = format!("{{\"item\":{item},\"quantity\":{quantity}}}");
            return self.post(at, "/cart/lines", Bytes::from(body));
        }
        let step = self.post(at, "/checkout", Bytes::new());
        self.there[at] = Customer::new(&mut self.rng);
        step
    }

    fn get(&self, at: usize, path: String) -> Step {
        Step { method: Method::GET, path, session: self.there[at].session.clone(), body: Bytes::new() }
    }

    fn post(&self, at: usize, path: &str, body: Bytes) -> Step {
        Step { method: Method::POST, path: path.to_owned(), session: self.there[at].session.clone(), body }
    }
}

impl Customer {
    fn new(rng: &mut StdRng) -> Customer {
        Customer { session: format!("{:016x}", rng.random::<u64>()), basket: 0 }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn steps() -> Vec<Step> {
        let mut customers = Customers::new(StdRng::seed_from_u64(3));
        (0..10_000).map(|_| customers.step()).collect()
    }

    #[test]
    fn most_look_and_few_pay() {
        let steps = steps();
        let share =
            |begin: &str| steps.iter().filter(|step| step.path.starts_with(begin)).count() as f64 / 1e4;
        assert!((0.68..0.72).contains(&share("/browse")));
        assert!((0.18..0.22).contains(&share("/items/")));
        assert!((0.07..0.095).contains(&share("/cart/lines")), "{}", share("/cart/lines"));
        assert!((0.015..0.032).contains(&share("/checkout")), "{}", share("/checkout"));
    }

    #[test]
    fn nobody_pays_for_an_empty_basket() {
        let mut filled = std::collections::HashSet::new();
        for step in steps() {
            match step.path.as_str() {
                "/cart/lines" => drop(filled.insert(step.session)),
                "/checkout" => assert!(filled.contains(&step.session)),
                _ => {}
            }
        }
    }
}

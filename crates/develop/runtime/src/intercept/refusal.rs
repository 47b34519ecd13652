//! Which errors are refusals: of this library's own breaker and limiter, however deep they lie within other errors.

use std::error::Error;

/// An error that can be looked into, so that a refusal is told from a failure.
///
/// A refusal is a [`breaker::Open`](crate::breaker::Open) or a [`limiter::Refused`](crate::limiter::Refused): the error itself, or
/// one that it names as its [`source`](Error::source), at any depth. So an error of your own counts as a refusal if its source is
/// one. All error types have this, and boxed ones, also within the errors of the layers.
///
/// `Form` keeps apart [`Plain`] and [`Boxed`], which have no trait in common (a boxed error is no [`Error`]); it is inferred.
pub trait Failure<Form> {
    /// Whether the call was turned away, and not made.
    fn is_refusal(&self) -> bool;
}

/// Types that are an [`Error`].
#[derive(Debug)]
pub enum Plain {}

/// `Box<dyn Error + Send + Sync>`, and errors of the layers around it.
#[derive(Debug)]
pub enum Boxed {}

impl<E: Error + 'static> Failure<Plain> for E {
    fn is_refusal(&self) -> bool {
        has_refusal(self)
    }
}

impl Failure<Boxed> for Box<dyn Error + Send + Sync> {
    fn is_refusal(&self) -> bool {
        has_refusal(&**self)
    }
}

#[cfg(feature = "breaker")]
impl<E: Failure<Boxed>> Failure<Boxed> for crate::breaker::CallError<E> {
    fn is_refusal(&self) -> bool {
        match self {
            crate::breaker::CallError::Open(_) => true,
            crate::breaker::CallError::Failed(error) => error.is_refusal(),
        }
    }
}

#[cfg(all(feature = "limiter", feature = "tower"))]
impl<E: Failure<Boxed>> Failure<Boxed> for crate::limiter::layer::LimitedError<E> {
    fn is_refusal(&self) -> bool {
        match self {
            crate::limiter::layer::LimitedError::Refused(_) => true,
            crate::limiter::layer::LimitedError::Failed(error) => error.is_refusal(),
        }
    }
}

type Is = fn(&(dyn Error + 'static)) -> bool;

const REFUSALS: &[Is] = &[
    #[cfg(feature = "breaker")]
    |error| error.is::<crate::breaker::Open>(),
    #[cfg(feature = "limiter")]
    |error| error.is::<crate::limiter::Refused>(),
];

/// An error may name itself as its source by mistake; no honest chain is as long as this.
const DEEPEST: usize = 64;

fn has_refusal(error: &(dyn Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| (*error).source())
        .take(DEEPEST)
        .any(|error| REFUSALS.iter().any(|is| is(error)))
}

#[cfg(all(test, feature = "breaker", feature = "limiter", feature = "tower"))]
mod tests {
    use std::fmt;
    use std::io;

    use super::*;
    use crate::breaker::{CallError, Open};
    use crate::limiter::layer::LimitedError;
    use crate::limiter::{Priority, Refused, Why};

    type BoxError = Box<dyn Error + Send + Sync>;

    const OPEN: Open = Open { retry_after: None };
    const REFUSED: Refused = Refused { priority: Priority::Normal, why: Why::Full };

    fn is_refusal<Form>(error: &impl Failure<Form>) -> bool {
        error.is_refusal()
    }

    #[test]
    fn a_refusal_is_seen_through_the_errors_of_either_layer() {
        assert!(is_refusal(&OPEN) && is_refusal(&REFUSED));
        assert!(is_refusal(&CallError::<io::Error>::Open(OPEN)));
        assert!(is_refusal(&LimitedError::<io::Error>::Refused(REFUSED)));
        assert!(is_refusal(&LimitedError::Failed(CallError::<io::Error>::Open(OPEN))));
        assert!(is_refusal(&CallError::Failed(LimitedError::<io::Error>::Refused(REFUSED))));
    }

    #[test]
    fn a_refusal_is_seen_in_a_box_and_around_one() {
        let boxed = || BoxError::from(LimitedError::Failed(CallError::<io::Error>::Open(OPEN)));
        assert!(is_refusal(&boxed()));
        assert!(is_refusal(&LimitedError::Failed(CallError::Failed(boxed()))));
        assert!(is_refusal(&LimitedError::Failed(CallError::<BoxError>::Open(OPEN))));
        assert!(is_refusal(&LimitedError::<CallError<BoxError>>::Refused(REFUSED)));
        assert!(is_refusal(&io::Error::other(boxed())));
    }

    #[test]
    fn a_failure_behind_both_layers_is_no_refusal() {
        let failed = || io::Error::other("the line broke");
        assert!(!is_refusal(&failed()));
        assert!(!is_refusal(&LimitedError::Failed(CallError::Failed(failed()))));
        assert!(!is_refusal(&LimitedError::Failed(CallError::Failed(BoxError::from(failed())))));
    }

    #[test]
    fn an_error_that_is_its_own_source_is_no_refusal() {
        #[derive(Debug)]
        struct Circle;
        impl fmt::Display for Circle {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("circle")
            }
        }
        impl Error for Circle {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                Some(self)
            }
        }
        assert!(!is_refusal(&Circle));
    }
}

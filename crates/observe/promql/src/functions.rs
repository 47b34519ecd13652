//! The functions of the language: their names and what they take and give.

use crate::ast::ValueType;

/// A function of the language.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// The types of its arguments.
    pub args: &'static [ValueType],
    /// How many arguments more or fewer.
    pub variadic: Variadic,
    /// What it gives.
    pub returns: ValueType,
}

/// How many arguments a function takes beside those that are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variadic {
    /// Exactly those listed.
    No,
    /// The last listed may be missing, or stand up to so many times.
    UpTo(usize),
    /// The last listed may be missing, or stand any number of times.
    Any,
}

/// The function of this name.
pub fn function(name: &str) -> Option<&'static Function> {
    FUNCTIONS.binary_search_by_key(&name, |function| function.name).ok().and_then(|at| FUNCTIONS.get(at))
}

const fn of(name: &'static str, args: &'static [ValueType]) -> Function {
    Function { name, args, variadic: Variadic::No, returns: ValueType::Vector }
}

const fn up_to(most: usize, name: &'static str, args: &'static [ValueType]) -> Function {
    Function { name, args, variadic: Variadic::UpTo(most), returns: ValueType::Vector }
}

const fn any(name: &'static str, args: &'static [ValueType]) -> Function {
    Function { name, args, variadic: Variadic::Any, returns: ValueType::Vector }
}

const fn scalar(name: &'static str, args: &'static [ValueType]) -> Function {
    Function { name, args, variadic: Variadic::No, returns: ValueType::Scalar }
}

const S: ValueType = ValueType::Scalar;
const T: ValueType = ValueType::String;
const V: ValueType = ValueType::Vector;
const M: ValueType = ValueType::Matrix;

/// All functions of Prometheus 3.14, the experimental ones too, ascending by name.
pub static FUNCTIONS: [Function; 90] = [
    of("abs", &[V]),
    of("absent", &[V]),
    of("absent_over_time", &[M]),
    of("acos", &[V]),
    of("acosh", &[V]),
    of("asin", &[V]),
    of("asinh", &[V]),
    of("atan", &[V]),
    of("atanh", &[V]),
    of("avg_over_time", &[M]),
    of("ceil", &[V]),
    of("changes", &[M]),
    of("clamp", &[V, S, S]),
    of("clamp_max", &[V, S]),
    of("clamp_min", &[V, S]),
    of("cos", &[V]),
    of("cosh", &[V]),
    of("count_over_time", &[M]),
    up_to(1, "day_of_month", &[V]),
    up_to(1, "day_of_week", &[V]),
    up_to(1, "day_of_year", &[V]),
    up_to(1, "days_in_month", &[V]),
    of("deg", &[V]),
    of("delta", &[M]),
    of("deriv", &[M]),
    of("double_exponential_smoothing", &[M, S, S]),
    scalar("end", &[]),
    of("exp", &[V]),
    of("first_over_time", &[M]),
    of("floor", &[V]),
    of("histogram_avg", &[V]),
    of("histogram_count", &[V]),
    of("histogram_fraction", &[S, S, V]),
    of("histogram_quantile", &[S, V]),
    up_to(9, "histogram_quantiles", &[V, T, S, S]),
    of("histogram_stddev", &[V]),
    of("histogram_stdvar", &[V]),
    of("histogram_sum", &[V]),
    up_to(1, "hour", &[V]),
    of("idelta", &[M]),
    of("increase", &[M]),
    up_to(1, "info", &[V, V]),
    of("irate", &[M]),
    any("label_join", &[V, T, T, T]),
    of("label_replace", &[V, T, T, T, T]),
    of("last_over_time", &[M]),
    of("ln", &[V]),
    of("log10", &[V]),
    of("log2", &[V]),
    of("mad_over_time", &[M]),
    scalar("max_of", &[S, S]),
    of("max_over_time", &[M]),
    scalar("min_of", &[S, S]),
    of("min_over_time", &[M]),
    up_to(1, "minute", &[V]),
    up_to(1, "month", &[V]),
    scalar("pi", &[]),
    of("predict_linear", &[M, S]),
    of("present_over_time", &[M]),
    of("quantile_over_time", &[S, M]),
    of("rad", &[V]),
    scalar("range", &[]),
    of("rate", &[M]),
    of("resets", &[M]),
    up_to(1, "round", &[V, S]),
    scalar("scalar", &[V]),
    of("sgn", &[V]),
    of("sin", &[V]),
    of("sinh", &[V]),
    of("sort", &[V]),
    any("sort_by_label", &[V, T]),
    any("sort_by_label_desc", &[V, T]),
    of("sort_desc", &[V]),
    of("sqrt", &[V]),
    scalar("start", &[]),
    of("start_timestamp", &[V]),
    of("stddev_over_time", &[M]),
    of("stdvar_over_time", &[M]),
    scalar("step", &[]),
    of("sum_over_time", &[M]),
    of("tan", &[V]),
    of("tanh", &[V]),
    scalar("time", &[]),
    of("timestamp", &[V]),
    of("ts_of_first_over_time", &[M]),
    of("ts_of_last_over_time", &[M]),
    of("ts_of_max_over_time", &[M]),
    of("ts_of_min_over_time", &[M]),
    of("vector", &[S]),
    up_to(1, "year", &[V]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_is_found_by_its_name() {
        for listed in &FUNCTIONS {
            assert_eq!(function(listed.name), Some(listed), "{}", listed.name);
        }
        assert_eq!(function("nothing"), None);
    }
}

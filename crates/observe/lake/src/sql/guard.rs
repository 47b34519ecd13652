//! What a query may be written like, before anything of it is planned.

use datafusion::prelude::SessionContext;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use crate::error::{LakeError, Result};

/// Words and signs of one query. A chain of operators nests as deeply as it is long, and planning descends into it.
const MAX_TOKENS: usize = 20_000;

/// Bytes of stack that the threads need on which queries run, so that a query of the most tokens is planned. Only what is used
/// takes memory.
pub const QUERY_STACK: usize = 256 << 20;

/// Functions that make a value of any size out of nothing, which no memory limit sees.
const UNBOUNDED: [&str; 10] = [
    "array_repeat",
    "array_resize",
    "generate_series",
    "list_repeat",
    "list_resize",
    "lpad",
    "range",
    "repeat",
    "rpad",
    "space",
];

/// Refuses a query that is too long to be planned.
pub(super) fn check_length(query: &str) -> Result<()> {
    // What is no token is told by the parser, with its place.
    let Ok(tokens) = Tokenizer::new(&GenericDialect {}, query).tokenize() else { return Ok(()) };
    let count = tokens.iter().filter(|token| !matches!(token, Token::Whitespace(_))).count();
    if count > MAX_TOKENS {
        let limit = format!("{MAX_TOKENS} words and signs in a query; this one has {count}");
        return Err(LakeError::QueryLimit { limit });
    }
    Ok(())
}

/// Takes functions away that could end the process.
pub(super) fn without_unbounded_functions(context: &SessionContext) {
    for name in UNBOUNDED {
        context.deregister_udf(name);
    }
}

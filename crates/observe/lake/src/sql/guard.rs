//! What a query may be written like, before anything of it is planned.

use datafusion::prelude::SessionContext;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use crate::error::{LakeError, Result};

/// Operators of one query that chain. A chain nests as deeply as it is long, and planning descends into it in a time that
/// grows with its square: seconds for this many.
const MAX_OPERATORS: usize = 2_500;

/// Bytes of stack that the threads need on which queries run, so that a query of the most operators is planned. Only what is
/// used takes memory.
pub const QUERY_STACK: usize = 64 << 20;

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
    let count = tokens.iter().filter(|token| chains(token)).count();
    if count > MAX_OPERATORS {
        let message = format!(
            "it has {count} operators such as OR, UNION and +, over the limit of {MAX_OPERATORS}; IN takes lists of any length"
        );
        return Err(LakeError::BadQuery { message });
    }
    Ok(())
}

fn chains(token: &Token) -> bool {
    match token {
        Token::Plus | Token::Minus | Token::Mul | Token::Div | Token::Mod | Token::StringConcat => true,
        Token::Word(word) => ["AND", "OR", "UNION", "EXCEPT", "INTERSECT", "JOIN"]
            .iter()
            .any(|of| word.value.eq_ignore_ascii_case(of)),
        _ => false,
    }
}

/// Takes functions away that could end the process.
pub(super) fn without_unbounded_functions(context: &SessionContext) {
    for name in UNBOUNDED {
        context.deregister_udf(name);
    }
}

//! The parameters of a request, from its URL and its body, as Go's `http.Request` reads them.

use super::error::ApiError;
use super::go::quote;

/// Parameters by name, those of the body before those of the URL.
#[derive(Clone, Debug, Default)]
pub(super) struct Form {
    pairs: Vec<(String, String)>,
    /// What could not be read; most endpoints go on without it.
    problem: Option<String>,
}

impl Form {
    /// The parameters of a body of type `application/x-www-form-urlencoded` and of a URL.
    pub(super) fn new(body: Option<&[u8]>, query: Option<&str>) -> Self {
        let mut form = Self::default();
        form.add(body.unwrap_or_default());
        form.add(query.unwrap_or_default().as_bytes());
        form
    }

    fn add(&mut self, encoded: &[u8]) {
        for pair in encoded.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            match read_pair(pair) {
                Ok(pair) => self.pairs.push(pair),
                Err(problem) => self.problem = self.problem.take().or(Some(problem)),
            }
        }
    }

    /// The first value of a parameter, empty where there is none.
    pub(super) fn get(&self, name: &str) -> &str {
        self.pairs.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// All values of a parameter.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// For endpoints that insist on a form that can be read.
    ///
    /// # Errors
    /// With the first thing that cannot.
    pub(super) fn check(&self) -> Result<(), ApiError> {
        match &self.problem {
            Some(problem) => Err(ApiError::bad_data(format!("error parsing form values: {problem}"))),
            None => Ok(()),
        }
    }
}

fn read_pair(pair: &[u8]) -> Result<(String, String), String> {
    if pair.contains(&b';') {
        return Err("invalid semicolon separator in query".to_owned());
    }
    let at = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
    let (key, value) = pair.split_at(at);
    Ok((unescape(key)?, unescape(value.get(1..).unwrap_or_default())?))
}

fn unescape(text: &[u8]) -> Result<String, String> {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let (Some(high), Some(low)) = (digit(text.get(at + 1)), digit(text.get(at + 2))) else {
                    let wrong = text.get(at..text.len().min(at + 3)).unwrap_or_default();
                    return Err(format!("invalid URL escape {}", quote(&String::from_utf8_lossy(wrong))));
                };
                out.push((high << 4 | low) as u8);
                at += 2;
            }
            byte => out.push(*byte),
        }
        at += 1;
    }
    Ok(match String::from_utf8(out) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_body_speaks_before_the_url() {
        let form = Form::new(Some(b"query=up&match[]=a"), Some("query=down&match%5B%5D=b"));
        assert_eq!(form.get("query"), "up");
        assert_eq!(form.all("match[]").collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn escapes_are_undone() {
        let form = Form::new(None, Some("query=a+b%2Bc%3D%C3%A9&flag&empty="));
        assert_eq!(form.get("query"), "a b+c=é");
        assert_eq!((form.get("flag"), form.get("empty"), form.get("none")), ("", "", ""));
        assert!(form.check().is_ok());
    }

    proptest! {
        #[test]
        fn any_bytes_make_a_form(bytes in vec(any::<u8>(), 0..200), query in "[a-z%&;=+0-9]{0,60}") {
            let form = Form::new(Some(&bytes), Some(&query));
            prop_assert!(form.get("a").len() <= 3 * (bytes.len() + query.len()));
        }
    }

    #[test]
    fn what_cannot_be_read_is_left_out_and_named_to_those_who_ask() {
        let form = Form::new(None, Some("query=%zz&start=1&a;b"));
        assert_eq!((form.get("query"), form.get("start")), ("", "1"));
        let problem = form.check().unwrap_err().message;
        assert_eq!(problem, r#"error parsing form values: invalid URL escape "%zz""#);
        let problem = Form::new(None, Some("a=1;b=2")).check().unwrap_err().message;
        assert_eq!(problem, "error parsing form values: invalid semicolon separator in query");
    }
}

//! Text with holes: `worker_connections {{worker_connections}};`.

use kandela_tune::Space;

use super::settings::{Texts, parse};

/// The longest value that is looked for in a file.
const LONGEST: usize = 128;

/// A template whose holes are knobs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Template {
    /// Text and the knob after it, in turn; then the text after the last one.
    parts: Vec<(String, String)>,
    rest: String,
}

impl Template {
    /// Reads a template, each `{{name}}` of which is a knob of `space`.
    ///
    /// # Errors
    /// What is wrong, with its line.
    pub(crate) fn read(text: &str, space: &Space) -> Result<Template, String> {
        let mut parts = Vec::new();
        let (mut left, mut line) = (text, 1);
        while let Some((before, after)) = left.split_once("{{") {
            line += before.matches('\n').count();
            let (name, rest) =
                after.split_once("}}").ok_or_else(|| format!("line {line}: {{{{ is not closed"))?;
            let name = name.trim();
            if space.parameter(name).is_none() {
                let known: Vec<&str> = space.parameters().iter().map(|p| p.spec.name.as_str()).collect();
                return Err(format!(
                    "line {line}: {{{{{name}}}}} is no knob; there are {}",
                    known.join(", ")
                ));
            }
            if before.is_empty() && !parts.is_empty() {
                return Err(format!(
                    "line {line}: {{{{{name}}}}} follows another with nothing between; put a space there"
                ));
            }
            parts.push((before.to_owned(), name.to_owned()));
            left = rest;
        }
        let template = Template { parts, rest: left.to_owned() };
        for parameter in space.parameters() {
            if !template.parts.iter().any(|(_, name)| *name == parameter.spec.name) {
                return Err(format!(
                    "knob {} is nowhere in it; write {{{{{0}}}}} where it goes",
                    parameter.spec.name
                ));
            }
        }
        Ok(template)
    }

    /// Each knob, with the beginning of the line that it stands in.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (&str, &str)> {
        self.parts.iter().map(|(before, name)| {
            let line = before.rfind('\n').map_or(before.as_str(), |at| &before[at + 1..]);
            (name.as_str(), line)
        })
    }

    /// The text with `texts` in its holes.
    pub(crate) fn render(&self, texts: &Texts) -> Result<String, String> {
        let mut text = String::new();
        for (before, name) in &self.parts {
            text.push_str(before);
            let value = texts.get(name).and_then(Option::as_deref);
            text.push_str(value.ok_or_else(|| format!("{name} has no value"))?);
        }
        text.push_str(&self.rest);
        Ok(text)
    }

    /// What stands in the holes of `text`, if it was made from this template.
    ///
    /// # Errors
    /// Where it first differs.
    pub(crate) fn extract(&self, text: &str, space: &Space) -> Result<Texts, String> {
        let mut texts = Texts::new();
        let mut deepest = 0;
        if self.fill(0, text, text, space, &mut texts, &mut deepest) {
            return Ok(texts);
        }
        let line = text[..deepest].matches('\n').count() + 1;
        Err(format!("line {line} is not what the template gives: somebody else has changed it"))
    }

    fn fill(
        &self,
        place: usize,
        left: &str,
        whole: &str,
        space: &Space,
        texts: &mut Texts,
        deepest: &mut usize,
    ) -> bool {
        let (before, hole) = match self.parts.get(place) {
            Some((before, name)) => (before, Some(name)),
            None => (&self.rest, None),
        };
        *deepest = (*deepest).max(whole.len() - left.len() + common(left, before));
        let Some(left) = left.strip_prefix(before.as_str()) else { return false };
        let Some(name) = hole else { return left.is_empty() };
        let Some(parameter) = space.parameter(name) else { return false };
        let after = self.parts.get(place + 1).map_or(self.rest.as_str(), |(before, _)| before);
        let longest = left.find('\n').unwrap_or(left.len()).min(LONGEST);
        // The longest first, so that a number is read with all its digits.
        for length in (1..=longest).rev() {
            let Some((value, rest)) = left.split_at_checked(length) else { continue };
            let earlier = texts.get(name).cloned();
            let agrees = earlier.as_ref().is_none_or(|earlier| earlier.as_deref() == Some(value));
            let fits = |value| {
                parse("", &parameter.spec, value).is_ok_and(|value| parameter.spec.check(&value).is_ok())
            };
            if !agrees || value != value.trim() || !fits(value) {
                continue;
            }
            if !rest.starts_with(after) {
                *deepest = (*deepest).max(whole.len() - rest.len() + common(rest, after));
                continue;
            }
            texts.insert(name.clone(), Some(value.to_owned()));
            if self.fill(place + 1, rest, whole, space, texts, deepest) {
                return true;
            }
            match earlier {
                Some(earlier) => texts.insert(name.clone(), earlier),
                None => texts.remove(name),
            };
        }
        false
    }
}

/// How many bytes two texts begin with in common, to a whole character.
fn common(a: &str, b: &str) -> usize {
    a.chars().zip(b.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn space() -> Space {
        let json = r#"{"n": {"type": "int", "min": 1, "max": 99999}, "m": {"type": "int", "min": 1, "max": 9999},
                       "z": {"type": "enum", "values": ["on", "off"]}}"#;
        serde_json::from_str(json).expect("a space")
    }

    const TEXT: &str = "events { worker_connections {{n}}; }\nbuffers {{ m }}8 {{m}}k;\ngzip {{z}};\n";

    proptest! {
        #[test]
        fn what_was_put_into_a_template_is_found_there_again(n in 1..=99999_i64, m in 1..=9999_i64, z in "on|off") {
            let (template, space) = (Template::read(TEXT, &space()).expect("a template"), space());
            let texts: Texts = [("n", n.to_string()), ("m", m.to_string()), ("z", z)]
                .map(|(name, text)| (name.to_owned(), Some(text))).into();
            let text = template.render(&texts).expect("all have values");
            prop_assert_eq!(template.extract(&text, &space).expect("made from it"), texts);
        }

        #[test]
        fn no_text_is_taken_apart_that_was_not_made_from_the_template(text in ".{0,80}") {
            let template = Template::read(TEXT, &space()).expect("a template");
            prop_assert!(template.extract(&text, &space()).is_err());
        }
    }

    #[test]
    fn a_hole_that_is_no_knob_is_told_with_its_line() {
        let error = Template::read("a\nb {{n}} {{workers}}", &space()).expect_err("no such knob");
        assert_eq!(error, "line 2: {{workers}} is no knob; there are n, m, z");
        assert_eq!(Template::read("\n\n{{n", &space()), Err("line 3: {{ is not closed".to_owned()));
        let error = Template::read("{{n}} {{m}}", &space()).expect_err("z is missing");
        assert!(error.starts_with("knob z is nowhere in it"), "{error}");
    }

    #[test]
    fn a_file_that_somebody_changed_is_told_with_its_line() {
        let template = Template::read(TEXT, &space()).expect("a template");
        let error =
            template.extract("events { worker_connections 5; }\nbuffers 38 3k;\ngzip maybe;\n", &space());
        assert_eq!(
            error,
            Err("line 3 is not what the template gives: somebody else has changed it".to_owned())
        );
    }
}

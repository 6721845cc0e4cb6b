//! Selectors of labels: `env==prod,tier in (web,api),!=...` as a query.

use std::collections::BTreeMap;

use crate::violations::Violations;

/// What labels must be, all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Selector(Vec<Term>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Term {
    key: String,
    /// The values it may have; nothing says any.
    values: Option<Vec<String>>,
    /// Whether it must have none of them.
    is_inverted: bool,
}

impl Selector {
    /// Reads `key`, `key==v`, `key!=v`, `key in (a,b)` and `key notin (a,b)`,
    /// joined by commas; other characters than letters, digits and `-_.` are
    /// escaped by a backslash.
    pub(super) fn parse(text: &str) -> Result<Self, Violations> {
        let mut words = Words { rest: text };
        let mut terms = Vec::new();
        let wrong = |at: &str| {
            let mut wrong = Violations::new();
            let text = format!("cannot be read as a selector of labels, from '{at}' on");
            wrong.add("/label", text);
            wrong
        };
        loop {
            terms.push(words.term().ok_or_else(|| wrong(words.rest))?);
            words.skip_spaces();
            if words.rest.is_empty() {
                return Ok(Self(terms));
            }
            if !words.take(",") {
                return Err(wrong(words.rest));
            }
        }
    }

    pub(super) fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|term| {
            let Some(value) = labels.get(&term.key) else {
                return false;
            };
            let values = term.values.as_ref();
            values.is_none_or(|values| values.contains(value) != term.is_inverted)
        })
    }
}

struct Words<'a> {
    rest: &'a str,
}

impl Words<'_> {
    fn skip_spaces(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn take(&mut self, mark: &str) -> bool {
        self.skip_spaces();
        match self.rest.strip_prefix(mark) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn word(&mut self) -> Option<String> {
        self.skip_spaces();
        let mut word = String::new();
        let mut letters = self.rest.char_indices();
        let mut end = self.rest.len();
        while let Some((at, letter)) = letters.next() {
            match letter {
                '\\' => word.push(letters.next()?.1),
                _ if letter.is_ascii_alphanumeric() || "-_.".contains(letter) => word.push(letter),
                _ => {
                    end = at;
                    break;
                }
            }
        }
        self.rest = &self.rest[end..];
        (!word.is_empty()).then_some(word)
    }

    fn set(&mut self) -> Option<Vec<String>> {
        if !self.take("(") {
            return None;
        }
        let mut values = vec![self.word()?];
        while self.take(",") {
            values.push(self.word()?);
        }
        self.take(")").then_some(values)
    }

    fn term(&mut self) -> Option<Term> {
        let key = self.word()?;
        let term = |values, is_inverted| {
            Some(Term {
                key: key.clone(),
                values,
                is_inverted,
            })
        };
        if self.take("==") {
            let value = self.word()?;
            return term(Some(vec![value]), false);
        }
        if self.take("!=") {
            let value = self.word()?;
            return term(Some(vec![value]), true);
        }
        if self.take("notin") {
            let values = self.set()?;
            return term(Some(values), true);
        }
        if self.take("in") {
            let values = self.set()?;
            return term(Some(values), false);
        }
        term(None, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_choose_by_labels() {
        let labels: BTreeMap<String, String> = [("env", "prod"), ("tier", "web"), ("a b", "c,d")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into();
        for (text, expected) in [
            ("env", true),
            ("owner", false),
            ("env==prod", true),
            ("env==prod, tier!=api", true),
            ("env!=prod", false),
            ("owner!=me", false),
            ("tier in (web, api)", true),
            ("tier in (api)", false),
            ("tier notin (api)", true),
            ("owner notin (me)", false),
            (r"a\ b==c\,d", true),
        ] {
            let selector = Selector::parse(text).unwrap();
            assert_eq!(selector.matches(&labels), expected, "{text}");
        }
        for bad in ["", "a==", "a in b", "a in (b", "a b", "==x", "a,"] {
            assert!(Selector::parse(bad).is_err(), "{bad}");
        }
    }
}

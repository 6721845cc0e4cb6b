//! Regular expressions as constraints write them: Java's dialect as far as it
//! differs in what people write, and always of the whole text.

use std::fmt;
use std::hash::{Hash, Hasher};

use regex::{Regex, RegexBuilder};

/// Larger programs are refused: a pattern comes from a user.
const LARGEST: usize = 1024 * 1024;

/// A regular expression that matches whole texts, as Java's `String.matches`
/// does: `rack-[1-3]` matches `rack-2` and not `rack-21`.
///
/// `\d`, `\w` and `\s` mean ASCII, and `\Q..\E` quotes, as in Java. Look-around,
/// back references and possessive quantifiers are refused: a match takes time in
/// proportion to the text, whoever wrote the pattern.
#[derive(Clone)]
pub struct Pattern {
    text: String,
    regex: Regex,
}

impl Pattern {
    /// Reads a pattern; `None` when it is no regular expression.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let translated = translate(text)?;
        let build = |pattern: &str| RegexBuilder::new(pattern).size_limit(LARGEST).build().ok();
        // On its own first, so that its brackets match within it.
        build(&translated)?;
        let regex = build(&format!(r"\A(?:{translated})\z"))?;
        Some(Self {
            text: text.to_owned(),
            regex,
        })
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the whole of `value` matches.
    #[must_use]
    pub fn matches(&self, value: &str) -> bool {
        self.regex.is_match(value)
    }
}

/// Rewrites what Java reads differently; `None` for what only Java has.
fn translate(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    // Where a quantifier ended: another `+` there would be possessive.
    let mut after_quantifier = false;
    let mut in_class = false;
    while let Some(c) = rest.chars().next() {
        let is_quantified = std::mem::take(&mut after_quantifier);
        if let Some(quoted) = rest.strip_prefix(r"\Q") {
            let (literal, left) = quoted.split_once(r"\E").unwrap_or((quoted, ""));
            out.push_str(&regex::escape(literal));
            rest = left;
            continue;
        }
        if c == '\\' {
            let escaped = rest[1..].chars().next()?;
            match escaped {
                'd' => out.push_str("[0-9]"),
                'D' => out.push_str("[^0-9]"),
                'w' => out.push_str("[a-zA-Z_0-9]"),
                'W' => out.push_str("[^a-zA-Z_0-9]"),
                's' => out.push_str(r"[ \t\n\x0B\f\r]"),
                'S' => out.push_str(r"[^ \t\n\x0B\f\r]"),
                other => out.extend(['\\', other]),
            }
            rest = &rest[1 + escaped.len_utf8()..];
            continue;
        }
        match c {
            '[' => in_class = true,
            ']' => in_class = false,
            '*' | '+' | '?' | '}' if !in_class => {
                if c == '+' && is_quantified {
                    return None;
                }
                after_quantifier = !is_quantified;
            }
            _ => {}
        }
        out.push(c);
        rest = &rest[c.len_utf8()..];
    }
    Some(out)
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

impl Hash for Pattern {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({:?})", self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, value: &str) -> bool {
        Pattern::new(pattern).unwrap().matches(value)
    }

    #[test]
    fn the_whole_text_is_matched() {
        assert!(matches("rack-[1-3]", "rack-2"));
        assert!(!matches("rack-[1-3]", "rack-21"));
        assert!(!matches("rack-[1-3]", "my-rack-2"));
        assert!(matches("a|ab", "ab"));
        assert!(!matches("a|b", "ab"));
        assert!(matches(".*", ""));
        assert!(!matches("x$", "x\n"));
        assert!(matches("^x$", "x"));
    }

    #[test]
    fn classes_are_ascii_as_in_java() {
        assert!(matches(r"r\d+", "r12"));
        assert!(!matches(r"\d", "\u{0663}"));
        assert!(matches(r"[\d-]+", "1-2"));
        assert!(matches(r"\w+\W\S\s", "a_1-x "));
        assert!(!matches(r"\w", "\u{e4}"));
        assert!(matches(r"\Qa.b\E.", "a.bc"));
        assert!(!matches(r"\Qa.b\E", "axb"));
    }

    #[test]
    fn what_only_java_has_is_refused() {
        for pattern in ["(", "a)(b", "(?!x).*", r"(a)\1", "a++b", "a*+", "[", r"\"] {
            assert!(Pattern::new(pattern).is_none(), "{pattern}");
        }
        for pattern in ["a+?", "[a+]+", "(a+)+", r"\++"] {
            assert!(Pattern::new(pattern).is_some(), "{pattern}");
        }
    }
}

//! Fields of a JSON object, read leniently: numbers and switches may be text, as
//! clients of the original send them, `null` is as good as nothing, and unknown
//! fields are passed over. What cannot be is noted with the field's name.

use serde_json::{Map, Value};

/// An object that is being read.
pub(super) struct Fields<'a> {
    map: &'a Map<String, Value>,
    problems: Vec<String>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(map: &'a Map<String, Value>) -> Self {
        Self {
            map,
            problems: Vec::new(),
        }
    }

    pub(super) fn problems(self) -> Vec<String> {
        self.problems
    }

    pub(super) fn wrong(&mut self, name: &str, problem: &str) {
        self.problems.push(format!("{name}: {problem}"));
    }

    /// What is wrong within a field is wrong with it.
    pub(super) fn adopt(&mut self, name: &str, inner: Fields<'_>) {
        let problems = inner.problems.into_iter();
        self.problems
            .extend(problems.map(|problem| format!("{name}: {problem}")));
    }

    fn get(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    /// Whether there is anything in it.
    pub(super) fn is_said(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| match value {
            Value::Array(items) => !items.is_empty(),
            Value::String(text) => !text.is_empty(),
            _ => true,
        })
    }

    pub(super) fn text(&mut self, name: &str) -> String {
        match self.get(name) {
            None => String::new(),
            Some(value) => self.as_text(name, value),
        }
    }

    fn as_text(&mut self, name: &str, value: &Value) -> String {
        match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(switch) => switch.to_string(),
            other => {
                self.wrong(name, &format!("{} is no text", shown(other)));
                String::new()
            }
        }
    }

    pub(super) fn optional_text(&mut self, name: &str) -> Option<String> {
        self.get(name)?;
        Some(self.text(name))
    }

    pub(super) fn switch(&mut self, name: &str, default: bool) -> bool {
        match self.get(name) {
            None => default,
            Some(Value::Bool(switch)) => *switch,
            Some(Value::String(text)) if text.eq_ignore_ascii_case("true") => true,
            Some(Value::String(text)) if text.eq_ignore_ascii_case("false") => false,
            Some(other) => {
                self.wrong(name, &format!("{} is neither true nor false", shown(other)));
                default
            }
        }
    }

    /// A number that is not negative.
    pub(super) fn optional_amount(&mut self, name: &str) -> Option<f64> {
        let value = self.get(name)?;
        let number = match value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        match number.filter(|number| number.is_finite() && *number >= 0.0) {
            Some(number) => Some(number),
            None => {
                let problem = format!("{} is no number from 0 on", shown(value));
                self.wrong(name, &problem);
                None
            }
        }
    }

    pub(super) fn amount(&mut self, name: &str) -> f64 {
        self.optional_amount(name).unwrap_or(0.0)
    }

    /// A whole number that is not negative.
    pub(super) fn whole(&mut self, name: &str) -> Option<u64> {
        let number = self.optional_amount(name)?;
        if number.fract() != 0.0 || number > 9e15 {
            self.wrong(name, &format!("{number} is no whole number"));
            return None;
        }
        Some(number as u64)
    }

    fn items(&mut self, name: &str) -> &'a [Value] {
        match self.get(name) {
            None => &[],
            Some(Value::Array(items)) => items,
            Some(other) => {
                self.wrong(name, &format!("{} is no list", shown(other)));
                &[]
            }
        }
    }

    pub(super) fn texts(&mut self, name: &str) -> Vec<String> {
        let items = self.items(name).iter();
        items.map(|item| self.as_text(name, item)).collect()
    }

    pub(super) fn lists(&mut self, name: &str) -> Vec<Vec<String>> {
        let mut all = Vec::new();
        for item in self.items(name) {
            let Value::Array(parts) = item else {
                self.wrong(name, &format!("{} is no list of texts", shown(item)));
                continue;
            };
            let parts = parts.iter().map(|part| self.as_text(name, part));
            all.push(parts.collect());
        }
        all
    }

    pub(super) fn objects(&mut self, name: &str) -> Vec<Fields<'a>> {
        let mut all = Vec::new();
        for item in self.items(name) {
            match item {
                Value::Object(map) => all.push(Fields::new(map)),
                other => self.wrong(name, &format!("{} is no object", shown(other))),
            }
        }
        all
    }

    pub(super) fn object(&mut self, name: &str) -> Option<Fields<'a>> {
        match self.get(name)? {
            Value::Object(map) => Some(Fields::new(map)),
            other => {
                self.wrong(name, &format!("{} is no object", shown(other)));
                None
            }
        }
    }
}

/// A value in a message.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

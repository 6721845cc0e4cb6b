//! Makes requests of schemas: mostly such as fit, sometimes such as do not.

use std::collections::{BTreeMap, VecDeque};

use mesos_local::simulation::Dice;
use serde_json::{Map, Value, json};

use super::Asked;

/// Of odd requests one in so many values is something else than is described.
const ODD: u64 = 12;
/// How many ids of a kind are remembered.
const REMEMBERED: usize = 30;
/// How deep values are nested.
const DEPTH: usize = 6;

/// Draws requests.
#[derive(Debug)]
pub(super) struct Generator {
    document: Value,
    dice: Dice,
    /// Whether the request that is made is an odd one.
    is_odd: bool,
    /// What was seen in answers under a name, such as `id`; the newest last.
    seen: BTreeMap<String, VecDeque<String>>,
}

impl Generator {
    pub(super) fn new(document: Value, dice: Dice) -> Self {
        Self {
            document,
            dice,
            is_odd: false,
            seen: BTreeMap::new(),
        }
    }

    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.dice.index(limit)
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.dice.below(count) == 0
    }

    /// Remembers the strings of an answer, so that they are asked for.
    pub(super) fn learn(&mut self, body: &Value) {
        match body {
            Value::Array(items) => items.iter().take(20).for_each(|item| self.learn(item)),
            Value::Object(fields) => {
                for (name, value) in fields {
                    match value.as_str() {
                        Some(text) => self.remember(name, text),
                        None => self.learn(value),
                    }
                }
            }
            _ => {}
        }
    }

    fn remember(&mut self, name: &str, text: &str) {
        let is_name = ["id", "version", "instanceId", "name"].contains(&name);
        let is_some = !text.trim_matches('/').is_empty();
        if is_some && (is_name || name.ends_with("Id")) {
            let seen = self.seen.entry(name.to_owned()).or_default();
            if !seen.iter().any(|it| it == text) {
                seen.push_back(text.to_owned());
            }
            if seen.len() > REMEMBERED {
                seen.pop_front();
            }
        }
    }

    /// A request for an operation.
    pub(super) fn request(&mut self, path: &str, operation: &Value) -> Asked {
        self.is_odd = self.one_in(2);
        let mut target = path.to_owned();
        let mut query = Vec::new();
        let parameters = operation["parameters"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        for parameter in parameters {
            let parameter = self.followed(&parameter);
            let name = parameter["name"].as_str().unwrap_or_default().to_owned();
            if parameter["in"] == "path" {
                let value = self.path_value(&name, &parameter["schema"]);
                target = target.replace(&format!("{{{name}}}"), &encoded(&value));
            } else if self.one_in(3) {
                for value in self.texts(&parameter["schema"]) {
                    query.push(format!("{name}={}", encoded(&value)));
                }
            }
        }
        if !query.is_empty() {
            target = format!("{target}?{}", query.join("&"));
        }
        let accepts = [
            "*/*",
            "application/json",
            "text/plain",
            "text/event-stream",
            "x/y",
        ];
        let accept = match self.one_in(6) {
            true => accepts[self.below(accepts.len())],
            false => "application/json",
        };
        let mut headers = vec![("Accept".to_owned(), accept.to_owned())];
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        let schema = schema.clone();
        let body = (!schema.is_null()).then(|| self.body(&schema));
        if body.is_some() {
            headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
        }
        Asked {
            method: String::new(),
            target,
            headers,
            body,
        }
    }

    fn body(&mut self, schema: &Value) -> String {
        let mut text = self.value(schema, 0).to_string();
        if !self.is_odd {
            return text;
        }
        match self.below(15) {
            0 => {
                let mut end = text.len() / 2;
                while !text.is_char_boundary(end) {
                    end -= 1;
                }
                text.truncate(end);
            }
            1 => text = String::new(),
            2 => text = "{\"id\": nothing".to_owned(),
            3 => text = "[".repeat(5000),
            _ => {}
        }
        text
    }

    /// A value for a place in a path: one that was seen, an example, or neither.
    fn path_value(&mut self, name: &str, schema: &Value) -> String {
        let of_name = self.seen.iter();
        let of_name = of_name.filter(|(it, _)| *it == name || **it == format!("{name}Id"));
        let of_name: Vec<&String> = of_name.flat_map(|(_, seen)| seen).collect();
        let all: Vec<&String> = self.seen.values().flatten().collect();
        let seen = match self.dice.below(4) {
            0 | 1 => of_name,
            2 => all,
            _ => Vec::new(),
        };
        if !seen.is_empty() {
            return seen[self.dice.index(seen.len())].clone();
        }
        let text = self.texts(schema).pop().unwrap_or_default();
        // An empty segment is another path.
        if text.trim_matches('/').is_empty() {
            "x".to_owned()
        } else {
            text
        }
    }

    fn texts(&mut self, schema: &Value) -> Vec<String> {
        let text = |value: &Value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        match self.value(schema, 1) {
            Value::Array(items) => items.iter().map(text).collect(),
            value => vec![text(&value)],
        }
    }

    fn followed(&self, schema: &Value) -> Value {
        match schema["$ref"].as_str() {
            Some(link) => self
                .document
                .pointer(&link[1..])
                .cloned()
                .unwrap_or_default(),
            None => schema.clone(),
        }
    }

    /// A schema with all that it consists of.
    fn whole(&self, schema: &Value) -> Value {
        let mut whole = self.followed(schema);
        for part in whole["allOf"].as_array().cloned().unwrap_or_default() {
            let part = self.whole(&part);
            whole["type"] = part["type"].clone();
            for (name, value) in part["properties"].as_object().into_iter().flatten() {
                whole["properties"][name] = value.clone();
            }
            let required = part["required"].as_array().cloned().unwrap_or_default();
            let mut all = whole["required"].as_array().cloned().unwrap_or_default();
            all.extend(required);
            whole["required"] = all.into();
        }
        whole
    }

    /// A value of a schema, or now and then something else.
    fn value(&mut self, schema: &Value, depth: usize) -> Value {
        if self.is_odd && depth > 0 && self.one_in(ODD) {
            return self.odd();
        }
        let schema = self.whole(schema);
        if !schema["const"].is_null() {
            return schema["const"].clone();
        }
        for choice in ["enum", "oneOf", "examples"] {
            let Some(choices) = schema[choice].as_array() else {
                continue;
            };
            let chosen = choices[self.below(choices.len())].clone();
            match choice {
                "oneOf" => return self.value(&chosen, depth),
                "examples" if self.one_in(5) => {}
                _ => return chosen,
            }
        }
        let kind = match &schema["type"] {
            Value::Array(kinds) => kinds[self.below(kinds.len())].clone(),
            kind => kind.clone(),
        };
        match kind.as_str().unwrap_or("string") {
            "object" => self.object(&schema, depth),
            "array" => {
                let count = if depth < DEPTH { self.below(3) } else { 0 };
                let items = &schema["items"];
                (0..count).map(|_| self.value(items, depth + 1)).collect()
            }
            "integer" | "number" => {
                let least = schema["minimum"].as_i64().unwrap_or(0);
                let more = i64::try_from(self.below(6)).unwrap_or(0);
                json!(least + more)
            }
            "boolean" => json!(self.one_in(2)),
            "null" => Value::Null,
            _ => self.text(schema["pattern"].as_str()),
        }
    }

    fn object(&mut self, schema: &Value, depth: usize) -> Value {
        let mut object = Map::new();
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        let properties = schema["properties"]
            .as_object()
            .cloned()
            .unwrap_or_default();
        for (name, schema) in &properties {
            let is_required = required.iter().any(|it| it == name);
            // What has examples is what matters.
            let has_examples = self.followed(schema).get("examples").is_some();
            let rarity = if has_examples { 2 } else { 10 };
            if is_required || (depth < DEPTH && self.one_in(rarity)) {
                object.insert(name.clone(), self.value(schema, depth + 1));
            }
        }
        let more = &schema["additionalProperties"];
        if more.is_object() && depth < DEPTH {
            for _ in 0..self.below(3) {
                let name = self.word();
                object.insert(name, self.value(more, depth + 1));
            }
        }
        Value::Object(object)
    }

    fn word(&mut self) -> String {
        let words = ["web", "shop", "db", "a", "x-1", "env", "main", "prod"];
        words[self.below(words.len())].to_owned()
    }

    fn text(&mut self, pattern: Option<&str>) -> Value {
        let word = self.word();
        json!(match pattern {
            Some("^/") => format!("/{word}"),
            Some(pattern) if pattern.starts_with(r"^\d{4}") => "2026-01-01T00:00:00.000Z".into(),
            _ => word,
        })
    }

    /// Something that nobody expects.
    fn odd(&mut self) -> Value {
        let all = [
            json!(null),
            json!(true),
            json!(""),
            json!("/"),
            json!("../../.."),
            json!("\u{2603}\u{0}\u{202e}"),
            json!("%00%ff"),
            json!("a".repeat(3000)),
            json!("(((((((((((.*)*)*)*)*"),
            json!(-1),
            json!(0.5),
            json!(1e308),
            json!(-1e308),
            json!(2_147_483_647_u64),
            json!(4_294_967_295_u64),
            json!(u64::MAX),
            json!(i64::MIN),
            json!([]),
            json!({}),
            json!([[[[]]]]),
            json!([null]),
            json!({"": {"": ""}}),
        ];
        all[self.below(all.len())].clone()
    }
}

/// Percent-encoded, slashes too.
fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~*".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

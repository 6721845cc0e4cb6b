//! JSON text to a value, with the syntax errors a Mesos master answers. Two
//! things are wider than JSON, as they are there: numbers may have leading
//! zeros or lack digits on one side of the point, and strings may hold any
//! bytes.

use std::borrow::Cow;

use super::{
    Error,
    value::{Value, text_of},
};

/// How deep arrays and objects may be nested.
pub(super) const MAX_DEPTH: usize = 200;

/// Parses a whole text.
pub(super) fn parse(text: &[u8], max_depth: usize) -> Result<Value<'_>, Error> {
    let mut parser = Parser { text, at: 0 };
    let value = parser.value(max_depth).map_err(|fault| Error::Syntax {
        message: match fault {
            Fault::Syntax => parser.near(),
            Fault::Range => "Value out of range".to_owned(),
        },
    })?;
    let rest = text[parser.at..].trim_ascii_end();
    if rest.is_empty() {
        return Ok(value);
    }
    Err(Error::Syntax {
        message: format!(
            "Parsed JSON included non-whitespace trailing characters: {}",
            text_of(rest)
        ),
    })
}

/// Why parsing stopped; where is in the parser.
enum Fault {
    Syntax,
    Range,
}

struct Parser<'a> {
    text: &'a [u8],
    /// Everything before is read.
    at: usize,
}

impl<'a> Parser<'a> {
    fn value(&mut self, depth: usize) -> Result<Value<'a>, Fault> {
        self.skip_space();
        match self.peek() {
            Some(b'n') => self.word(b"null", Value::Null),
            Some(b't') => self.word(b"true", Value::Bool(true)),
            Some(b'f') => self.word(b"false", Value::Bool(false)),
            Some(b'"') => {
                self.at += 1;
                self.string().map(Value::String)
            }
            Some(b'[') => self.array(depth),
            Some(b'{') => self.object(depth),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(Fault::Syntax),
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value<'a>, Fault> {
        self.at += 1;
        let depth = depth.checked_sub(1).ok_or(Fault::Syntax)?;
        let mut values = Vec::new();
        if self.expect(b']').is_ok() {
            return Ok(Value::Array(values));
        }
        loop {
            values.push(self.value(depth)?);
            if self.expect(b',').is_err() {
                self.expect(b']')?;
                return Ok(Value::Array(values));
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value<'a>, Fault> {
        self.at += 1;
        let depth = depth.checked_sub(1).ok_or(Fault::Syntax)?;
        let mut members = Vec::new();
        if self.expect(b'}').is_ok() {
            return Ok(Value::Object(members));
        }
        loop {
            self.expect(b'"')?;
            let key = self.string()?;
            self.expect(b':')?;
            members.push((key, self.value(depth)?));
            if self.expect(b',').is_err() {
                self.expect(b'}')?;
                return Ok(Value::object(members));
            }
        }
    }

    /// The rest of a string whose opening quote is read.
    fn string(&mut self) -> Result<Cow<'a, [u8]>, Fault> {
        let plain = self.plain();
        if self.peek() == Some(b'"') {
            self.at += 1;
            return Ok(Cow::Borrowed(plain));
        }
        let mut text = plain.to_vec();
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Cow::Owned(text));
                }
                Some(b'\\') => {
                    self.at += 1;
                    self.escape(&mut text)?;
                }
                _ => return Err(Fault::Syntax),
            }
            text.extend_from_slice(self.plain());
        }
    }

    /// The bytes up to a quote, a backslash, a control character or the end.
    fn plain(&mut self) -> &'a [u8] {
        let rest = &self.text[self.at..];
        let length = rest
            .iter()
            .position(|&byte| byte == b'"' || byte == b'\\' || byte < b' ')
            .unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    fn escape(&mut self, text: &mut Vec<u8>) -> Result<(), Fault> {
        let byte = self.peek().ok_or(Fault::Syntax)?;
        self.at += 1;
        text.push(match byte {
            b'"' | b'\\' | b'/' => byte,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let character = self.code_point()?;
                text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            _ => return Err(Fault::Syntax),
        });
        Ok(())
    }

    fn code_point(&mut self) -> Result<char, Fault> {
        let first = self.hex()?;
        let code = if (0xd800..0xdc00).contains(&first) {
            for byte in *b"\\u" {
                if self.peek() != Some(byte) {
                    return Err(Fault::Syntax);
                }
                self.at += 1;
            }
            let second = self.hex()?;
            if !(0xdc00..0xe000).contains(&second) {
                return Err(Fault::Syntax);
            }
            0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)
        } else {
            first
        };
        char::from_u32(code).ok_or(Fault::Syntax)
    }

    fn hex(&mut self) -> Result<u32, Fault> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            code = code * 16 + digit.ok_or(Fault::Syntax)?;
            self.at += 1;
        }
        Ok(code)
    }

    fn number(&mut self) -> Result<Value<'a>, Fault> {
        let rest = &self.text[self.at..];
        let length = rest
            .iter()
            .position(|byte| !matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'))
            .unwrap_or(rest.len());
        self.at += length;
        let text = str::from_utf8(&rest[..length]).map_err(|_| Fault::Syntax)?;
        if let Ok(value) = text.parse() {
            return Ok(Value::Int(value));
        }
        if let Ok(value) = text.parse() {
            return Ok(Value::Uint(value));
        }
        match text.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(Value::Float(value)),
            Ok(_) => Err(Fault::Range),
            Err(_) => Err(Fault::Syntax),
        }
    }

    fn word(&mut self, word: &[u8], value: Value<'a>) -> Result<Value<'a>, Fault> {
        for &byte in word {
            if self.peek() != Some(byte) {
                return Err(Fault::Syntax);
            }
            self.at += 1;
        }
        Ok(value)
    }

    fn expect(&mut self, byte: u8) -> Result<(), Fault> {
        self.skip_space();
        if self.peek() != Some(byte) {
            return Err(Fault::Syntax);
        }
        self.at += 1;
        Ok(())
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Where parsing stopped, in Mesos's words: the line, and what follows on
    /// it without control characters.
    fn near(&self) -> String {
        let (read, rest) = self.text.split_at(self.at);
        let line = 1 + read.iter().filter(|&&byte| byte == b'\n').count();
        let near: Vec<u8> = rest
            .iter()
            .copied()
            .take_while(|&byte| byte != b'\n')
            .filter(|&byte| byte >= b' ')
            .collect();
        format!("syntax error at line {line} near: {}", text_of(&near))
    }
}

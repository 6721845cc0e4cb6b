//! Reads the fields of one encoded message, without knowing its type.

/// The bytes end inside a field, or a field is of no known encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Groups that may stand in one another, as prost has it.
const MAX_DEPTH: usize = 100;

/// A field's value as it stands on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    /// A string, bytes, a message or packed numbers.
    Bytes(&'a [u8]),
    /// The begin or end of a group, which the Mesos API never uses. What a
    /// group holds follows as fields of its own, and its end has its number.
    Group(Edge),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Edge {
    Begin,
    End,
}

/// Steps through the fields of one message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next field outside groups: its number and value.
    pub(crate) fn next(&mut self) -> Result<Option<(u32, Value<'a>)>, Malformed> {
        let mut open = Vec::new();
        while !self.rest.is_empty() {
            match self.any()? {
                (number, Value::Group(Edge::Begin)) if open.len() < MAX_DEPTH => open.push(number),
                (number, Value::Group(Edge::End)) if open.pop() == Some(number) => {}
                (_, Value::Group(_)) => return Err(Malformed),
                field if open.is_empty() => return Ok(Some(field)),
                _ => {}
            }
        }
        if open.is_empty() {
            Ok(None)
        } else {
            Err(Malformed)
        }
    }

    /// The next field as it comes, inside groups too.
    fn any(&mut self) -> Result<(u32, Value<'a>), Malformed> {
        let key = u32::try_from(self.varint()?).map_err(|_| Malformed)?;
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
                Value::Bytes(self.take(length)?)
            }
            3 => Value::Group(Edge::Begin),
            4 => Value::Group(Edge::End),
            5 => Value::Fixed32(u32::from_le_bytes(self.array()?)),
            _ => return Err(Malformed),
        };
        match key >> 3 {
            0 => Err(Malformed),
            number => Ok((number, value)),
        }
    }

    /// One number of a packed field, or none at its end.
    pub(crate) fn packed(&mut self) -> Option<u64> {
        self.varint().ok()
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for (index, &byte) in self.rest.iter().enumerate().take(10) {
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                self.rest = &self.rest[index + 1..];
                return Ok(value);
            }
        }
        Err(Malformed)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Malformed)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Malformed)?;
        self.rest = rest;
        Ok(*taken)
    }
}

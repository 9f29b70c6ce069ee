//! The slots of Redis Cluster: of a key, and who owns them.
//!
//! Invariants: the slot of a key is what the cluster says it is (CRC16 of the hash
//! tag, or of the whole key where there is none).

use redis::Value;

use super::{
    error::RedisError,
    reply::{list, number, text},
    settings::Address,
};

/// How many slots a cluster has.
const SLOTS: u16 = 16_384;

/// Who owns which slots.
#[derive(Debug)]
pub(super) struct Slots {
    /// First and last slot, and the primary.
    ranges: Vec<(u16, u16, Address)>,
    /// Every node that was named, replicas too.
    nodes: Vec<Address>,
}

impl Slots {
    /// Reads the answer to `CLUSTER SLOTS` by the node at `asked`.
    pub(super) fn read(answer: &Value, asked: &Address) -> Result<Self, RedisError> {
        let mut slots = Self { ranges: Vec::new(), nodes: Vec::new() };
        for entry in list(answer) {
            let read = slots.add(list(entry), asked);
            read.ok_or(RedisError::Unexpected { expected: "ranges of slots" })?;
        }
        if slots.ranges.is_empty() {
            return Err(RedisError::unavailable("the node knows of no slots"));
        }
        Ok(slots)
    }

    fn add(&mut self, entry: &[Value], asked: &Address) -> Option<()> {
        let [first, last, nodes @ ..] = entry else { return None };
        let slot = |value| number(value).and_then(|slot| u16::try_from(slot).ok());
        let (first, last) = (slot(first)?, slot(last)?);
        for (at, node) in nodes.iter().enumerate() {
            let [host, port, ..] = list(node) else { return None };
            // A node that does not know its own name means the one that was asked.
            let host = text(host).filter(|host| !matches!(*host, "" | "?")).unwrap_or(&asked.host);
            let address = Address { host: host.to_owned(), port: slot(port)? };
            if at == 0 {
                self.ranges.push((first, last, address.clone()));
            }
            if !self.nodes.contains(&address) {
                self.nodes.push(address);
            }
        }
        Some(())
    }

    /// The primary of `slot`, if there is one.
    pub(super) fn owner(&self, slot: u16) -> Option<&Address> {
        let owns = |(first, last, _): &&(u16, u16, Address)| (*first..=*last).contains(&slot);
        self.ranges.iter().find(owns).map(|(_, _, address)| address)
    }

    /// Every primary that owns slots, once.
    pub(super) fn owners(&self) -> Vec<Address> {
        let mut owners: Vec<Address> = Vec::new();
        for (_, _, address) in &self.ranges {
            if !owners.contains(address) {
                owners.push(address.clone());
            }
        }
        owners
    }

    /// Every node that was named.
    pub(super) fn nodes(&self) -> &[Address] {
        &self.nodes
    }
}

/// The slot of `key`.
pub(super) fn slot_of(key: &str) -> u16 {
    let tag = key.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
    let hashed = tag.map(|(tag, _)| tag).filter(|tag| !tag.is_empty()).unwrap_or(key);
    crc16(hashed.as_bytes()) % SLOTS
}

/// CRC-16/XMODEM, one bit at a time: keys are short and asked rarely.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: keys go where the cluster looks for them.
    /// Method: the check value of the specification, and slots that `CLUSTER KEYSLOT`
    /// of Redis 7.0.15 gave.
    #[test]
    fn keys_have_the_slots_of_the_cluster() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        for (key, slot) in [
            ("", 0),
            ("foo", 12_182),
            ("hb:{default}:m", 5_718),
            ("{user1000}.following", 3_443),
            ("foo{}{bar}", 8_363),
            ("foo{{bar}}zap", 4_015),
            ("foo{bar}{zap}", 5_061),
        ] {
            assert_eq!(slot_of(key), slot, "{key}");
        }
        assert_eq!(slot_of("hb:{default}:l"), slot_of("default"));
    }

    fn node(host: Value, port: i64) -> Value {
        Value::Array(vec![host, Value::Int(port), Value::BulkString(b"id".to_vec())])
    }

    fn name(host: &str) -> Value {
        Value::BulkString(host.as_bytes().to_vec())
    }

    #[test]
    fn a_map_of_slots_is_read() {
        let asked = Address { host: "seed".into(), port: 1 };
        let range = |first, last, nodes: Vec<Value>| {
            Value::Array([vec![Value::Int(first), Value::Int(last)], nodes].concat())
        };
        let answer = Value::Array(vec![
            range(0, 99, vec![node(name("one"), 7001), node(name("two"), 7002)]),
            range(100, 100, vec![node(Value::Nil, 7003)]),
            range(200, 299, vec![node(name("one"), 7001)]),
        ]);
        let slots = Slots::read(&answer, &asked).unwrap();
        let owner = |slot| slots.owner(slot).map(ToString::to_string);
        assert_eq!(owner(99).as_deref(), Some("one:7001"));
        assert_eq!(owner(100).as_deref(), Some("seed:7003"));
        assert_eq!(owner(101), None);
        assert_eq!(slots.owners().len(), 2);
        assert_eq!(slots.nodes().len(), 3);

        for broken in [Value::Array(vec![Value::Int(3)]), Value::Nil, Value::Okay] {
            assert!(Slots::read(&broken, &asked).is_err(), "{broken:?}");
        }
    }
}

//! Who has which slot.

use std::collections::BTreeSet;

use cache_core::TierError;
use redis::{ConnectionAddr, Value};

/// The host and the port of a server.
pub(crate) type Address = (String, u16);

/// Which primary has which slots, as a server of the cluster tells.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Map {
    /// In order, and without overlaps.
    ranges: Vec<Range>,
    /// Each once.
    primaries: BTreeSet<Address>,
}

#[derive(Debug, PartialEq, Eq)]
struct Range {
    first: u16,
    last: u16,
    primary: Address,
    replicas: Vec<Address>,
}

impl Map {
    /// Reads the answer to CLUSTER SLOTS. A server that does not know its own host leaves it out: it is the one that it
    /// was asked at.
    pub(crate) fn read(slots: Value, asked: &str) -> Option<Self> {
        let slots: Vec<(u16, u16, Vec<Value>)> = ranges(slots)?;
        let ranges = slots.into_iter().map(|(first, last, servers)| {
            let mut servers = servers.into_iter().filter_map(|server| address(server, asked));
            Some(Range { first, last, primary: servers.next()?, replicas: servers.collect() })
        });
        let mut ranges: Vec<Range> = ranges.collect::<Option<_>>()?;
        ranges.sort_by_key(|range| range.first);
        let primaries = ranges.iter().map(|range| range.primary.clone()).collect();
        Some(Self { ranges, primaries })
    }

    /// Who has `slot`.
    ///
    /// # Errors
    /// Nobody has.
    pub(crate) fn owner(&self, slot: u16) -> Result<&Address, TierError> {
        let after = self.ranges.partition_point(|range| range.first <= slot);
        let range = after.checked_sub(1).map(|at| &self.ranges[at]).filter(|range| range.last >= slot);
        range
            .map(|range| &range.primary)
            .ok_or_else(|| TierError::unavailable(format!("no server of the cluster has slot {slot}")))
    }

    /// Each primary once.
    pub(crate) fn primaries(&self) -> impl Iterator<Item = &Address> {
        self.primaries.iter()
    }

    /// The replicas of all primaries.
    pub(crate) fn replicas(&self) -> impl Iterator<Item = &Address> {
        self.ranges.iter().flat_map(|range| &range.replicas)
    }
}

/// The address that a connection leads to.
pub(crate) fn address_of(connection: &ConnectionAddr) -> Option<Address> {
    match connection {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => Some((host.clone(), *port)),
        _ => None,
    }
}

fn ranges(slots: Value) -> Option<Vec<(u16, u16, Vec<Value>)>> {
    let Value::Array(slots) = slots else { return None };
    let range = |range| {
        let Value::Array(mut parts) = range else { return None };
        let servers = parts.split_off(parts.len().min(2));
        let [Value::Int(first), Value::Int(last)] = parts[..] else { return None };
        Some((u16::try_from(first).ok()?, u16::try_from(last).ok()?, servers))
    };
    slots.into_iter().map(range).collect()
}

fn address(server: Value, asked: &str) -> Option<Address> {
    let Value::Array(parts) = server else { return None };
    let [host, Value::Int(port), ..] = &parts[..] else { return None };
    let host = match host {
        Value::BulkString(host) => std::str::from_utf8(host).ok()?,
        Value::SimpleString(host) => host,
        Value::Nil => "",
        _ => return None,
    };
    let host = if host.is_empty() || host == "?" { asked } else { host };
    Some((host.to_owned(), u16::try_from(*port).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn server(host: Value, port: i64) -> Value {
        Value::Array(vec![host, Value::Int(port), text("id"), Value::Array(Vec::new())])
    }

    #[test]
    fn slots_have_owners() {
        let range = |first, last, servers: Vec<Value>| {
            Value::Array([vec![Value::Int(first), Value::Int(last)], servers].concat())
        };
        let answer = Value::Array(vec![
            range(100, 200, vec![server(text("b"), 2), server(text("r"), 3)]),
            range(0, 50, vec![server(Value::Nil, 1)]),
            range(300, 16_383, vec![server(text("b"), 2)]),
        ]);
        let map = Map::read(answer, "asked").unwrap();
        let owner = |slot| map.owner(slot).ok().map(|(host, port)| format!("{host}:{port}"));
        assert_eq!(
            [0, 50, 100, 200, 16_383].map(|slot| owner(slot).unwrap()),
            ["asked:1", "asked:1", "b:2", "b:2", "b:2"]
        );
        assert_eq!([51, 99, 201, 299].map(owner), [None, None, None, None]);
        assert_eq!(map.primaries().count(), 2);
        assert_eq!(map.replicas().count(), 1);
    }

    #[test]
    fn anything_else_is_no_map() {
        for bad in [Value::Nil, Value::Array(vec![Value::Nil]), Value::Array(vec![Value::Array(vec![Value::Int(1)])])] {
            assert!(Map::read(bad, "asked").is_none());
        }
        assert!(Map::default().owner(0).is_err());
    }
}

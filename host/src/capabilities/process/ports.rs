//! Which port belongs to which process. No two ever get the same.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, TcpListener},
    ops::RangeInclusive,
};

use super::Key;
use crate::plugins::types::{Port, PortRequest};

/// Below where Linux picks the ports of outgoing connections from.
const DEFAULT: RangeInclusive<u16> = 20_000..=32_000;
/// A range that is this crowded is full.
const TRIES: usize = 2000;

#[derive(Default)]
pub(super) struct Reservations {
    owners: BTreeMap<u16, Key>,
}

impl Reservations {
    /// Makes `ports` the ones that belong to `key`, whatever they were before.
    pub(super) fn take(&mut self, key: &Key, ports: &[Port]) {
        self.owners.retain(|_, owner| owner != key);
        for port in ports {
            self.owners.insert(port.number, key.clone());
        }
    }

    /// Reserves ports; `known` are those that the process had before, which it gets
    /// again where they are free and wanted. All or nothing.
    pub(super) fn reserve(
        &mut self,
        key: &Key,
        requests: &[PortRequest],
        known: &[Port],
    ) -> Result<Vec<Port>, String> {
        let mut ports: Vec<Port> = Vec::with_capacity(requests.len());
        for request in requests {
            if ports.iter().any(|it| it.name == request.name) {
                return Err(format!("port `{}` is asked for twice", request.name));
            }
            let taken = |number: u16| {
                ports.iter().any(|it| it.number == number)
                    || self.owners.get(&number).is_some_and(|it| it != key)
            };
            let before = known.iter().find(|it| it.name == request.name).map(|it| it.number);
            let number = match request.number {
                Some(0) => return Err(format!("port `{}` has number 0", request.name)),
                Some(number) => self.fixed(key, number, &taken)?,
                None => free(request, before, &taken)?,
            };
            ports.push(Port { name: request.name.clone(), number });
        }
        self.take(key, &ports);
        Ok(ports)
    }

    fn fixed(&self, key: &Key, number: u16, taken: &impl Fn(u16) -> bool) -> Result<u16, String> {
        match self.owners.get(&number) {
            Some(owner) if owner != key => Err(format!("port {number} belongs to `{}`", owner.1)),
            _ if taken(number) => Err(format!("port {number} is asked for twice")),
            _ if !is_free(number) => Err(format!("port {number} is in use by another program")),
            _ => Ok(number),
        }
    }
}

fn free(
    request: &PortRequest,
    before: Option<u16>,
    taken: &impl Fn(u16) -> bool,
) -> Result<u16, String> {
    let low = if request.low == 0 { *DEFAULT.start() } else { request.low };
    let high = if request.high == 0 { (*DEFAULT.end()).max(low) } else { request.high };
    if low > high {
        return Err(format!("port `{}` has no range: {low} is above {high}", request.name));
    }
    let fits = |number: &u16| (low..=high).contains(number) && !taken(*number) && is_free(*number);
    if let Some(number) = before.filter(fits) {
        return Ok(number);
    }
    let size = u32::from(high - low) + 1;
    let first = random() % size;
    (0..size)
        .take(TRIES)
        .map(|it| low + ((first + it) % size) as u16)
        .find(fits)
        .ok_or_else(|| format!("no port between {low} and {high} is free"))
}

fn is_free(number: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok()
}

fn random() -> u32 {
    getrandom::u32().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(name: &str, number: Option<u16>, low: u16, high: u16) -> PortRequest {
        PortRequest { name: name.into(), number, low, high }
    }

    fn key(name: &str) -> Key {
        ("binding".into(), name.into())
    }

    #[test]
    fn two_processes_never_get_the_same_port() {
        let mut reservations = Reservations::default();
        let mut seen = Vec::new();
        for name in 0..40 {
            let wanted = [request("http", None, 0, 0), request("admin", None, 0, 0)];
            for port in reservations.reserve(&key(&name.to_string()), &wanted, &[]).unwrap() {
                assert!(!seen.contains(&port.number));
                seen.push(port.number);
            }
        }
        let taken = reservations.reserve(&key("x"), &[request("http", Some(seen[0]), 0, 0)], &[]);
        assert!(taken.unwrap_err().contains("belongs to `0`"));
    }

    #[test]
    fn the_same_process_gets_the_same_port_again() {
        let mut reservations = Reservations::default();
        let wanted = [request("http", None, 0, 0)];
        let first = reservations.reserve(&key("a"), &wanted, &[]).unwrap();
        let again = reservations.reserve(&key("a"), &wanted, &first).unwrap();
        assert_eq!(first, again);
    }

    #[test]
    fn a_port_in_use_is_not_given_away() {
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let number = other.local_addr().unwrap().port();
        let mut reservations = Reservations::default();
        let fixed = reservations.reserve(&key("a"), &[request("http", Some(number), 0, 0)], &[]);
        assert!(fixed.unwrap_err().contains("in use"));
        let ranged = reservations.reserve(&key("a"), &[request("http", None, number, number)], &[]);
        assert!(ranged.unwrap_err().contains("is free"));
        let odd = reservations.reserve(&key("a"), &[request("http", None, 9, 8)], &[]);
        assert!(odd.unwrap_err().contains("no range"));
    }
}

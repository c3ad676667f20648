//! Ports that stay ours while nothing listens on them.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;

use rustix::fs::{FlockOperation, flock};

/// Below the ports that Linux, macOS and Windows hand out to outgoing connections. A server that is down for a while
/// loses an outgoing port to any client, even to the very client that tries to reconnect to it: on loopback, a connection
/// from a port to the same port succeeds.
const PORTS: Range<u16> = 12_000..32_000;

const ATTEMPTS: usize = 1_000;

/// A port of 127.0.0.1 that no other test process takes until this is dropped, whether something listens on it or not.
#[derive(Debug)]
pub struct Port {
    number: u16,
    /// Its lock is what reserves the port, and ends with the process in whatever way that ends.
    lock: File,
}

impl Port {
    /// Reserves a port on which nothing listens.
    pub(crate) fn reserve() -> Self {
        (0..ATTEMPTS)
            .find_map(|_| Self::try_reserve(fastrand::u16(PORTS)))
            .unwrap_or_else(|| panic!("no free port in {PORTS:?} after {ATTEMPTS} attempts: end what holds them"))
    }

    fn try_reserve(number: u16) -> Option<Self> {
        let directory = std::env::temp_dir().join("cache-testing-ports");
        std::fs::create_dir_all(&directory).expect("the directory for temporary files is writable");
        let lock = File::create(directory.join(number.to_string())).ok()?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).ok()?;
        TcpListener::bind((Ipv4Addr::LOCALHOST, number)).ok()?;
        Some(Self { number, lock })
    }

    pub(crate) fn number(&self) -> u16 {
        self.number
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        // Closing the file is not enough while a child that is being started still has its copy of it.
        let _ = flock(&self.lock, FlockOperation::Unlock);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserved_port_is_free_to_bind_and_not_handed_out_again() {
        let port = Port::reserve();

        assert!(TcpListener::bind((Ipv4Addr::LOCALHOST, port.number())).is_ok());
        assert!(Port::try_reserve(port.number()).is_none());

        let number = port.number();
        drop(port);
        assert!(Port::try_reserve(number).is_some());
    }

    #[test]
    fn a_port_in_use_is_not_reserved() {
        let number = Port::reserve().number();
        let _listener = TcpListener::bind((Ipv4Addr::LOCALHOST, number)).unwrap();

        assert!(Port::try_reserve(number).is_none());
    }
}

//! Where master and agents listen, and the names under which they are found.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

use super::{ClusterConfig, Error};

/// A socket that listens already, and what others are told of it.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) listener: TcpListener,
    /// Where clients reach it; never the unspecified address.
    pub(super) address: SocketAddr,
    pub(super) hostname: String,
}

/// The master's place.
pub(super) fn master(config: &ClusterConfig) -> Result<Place, Error> {
    let listener = listen(config.ip, config.port)?;
    place(listener, None)
}

/// The place of the agent at `index`: on loopback an address of its own, so
/// that its host name is its own too.
pub(super) fn agent(config: &ClusterConfig, index: usize) -> Result<Place, Error> {
    let port = match config.agent_port {
        0 => 0,
        first => u16::try_from(index)
            .ok()
            .and_then(|index| first.checked_add(index))
            .ok_or(Error::Ports {
                first,
                count: config.agents.len(),
            })?,
    };
    let ip = own_loopback(config.ip, index);
    let listener = match listen(ip, port) {
        // Linux answers on all of 127.0.0.0/8, others on one address only.
        Err(_) if ip != config.ip => listen(config.ip, port),
        result => result,
    }?;
    place(listener, config.agents[index].hostname.clone())
}

/// The loopback address `index` after `ip`.
fn own_loopback(ip: IpAddr, index: usize) -> IpAddr {
    match ip {
        IpAddr::V4(ip) if ip.is_loopback() => u32::try_from(index)
            .ok()
            .and_then(|index| u32::from(ip).checked_add(index))
            .map(Ipv4Addr::from)
            .filter(Ipv4Addr::is_loopback)
            .map_or(IpAddr::V4(ip), IpAddr::V4),
        other => other,
    }
}

fn listen(ip: IpAddr, port: u16) -> Result<TcpListener, Error> {
    let address = SocketAddr::new(ip, port);
    let refuse = |source| Error::Listen { address, source };
    let listener = TcpListener::bind(address).map_err(refuse)?;
    listener.set_nonblocking(true).map_err(refuse)?;
    Ok(listener)
}

fn place(listener: TcpListener, hostname: Option<String>) -> Result<Place, Error> {
    let bound = listener.local_addr().map_err(|source| Error::Listen {
        address: SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0),
        source,
    })?;
    let address = SocketAddr::new(reachable(bound.ip()), bound.port());
    // A name of which every machine knows the address, else the address itself.
    let hostname = hostname.unwrap_or_else(|| {
        if address.ip() == Ipv4Addr::LOCALHOST {
            "localhost".to_owned()
        } else {
            address.ip().to_string()
        }
    });
    Ok(Place {
        listener,
        address,
        hostname,
    })
}

/// An address that others can connect to when one listens on all of them: the
/// one this machine would send from. Nothing is sent to find out.
fn reachable(ip: IpAddr) -> IpAddr {
    if !ip.is_unspecified() {
        return ip;
    }
    UdpSocket::bind(SocketAddr::new(ip, 0))
        .and_then(|socket| {
            socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9))?;
            socket.local_addr()
        })
        .map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |address| address.ip())
}

#[cfg(test)]
mod tests {
    use super::super::AgentSpec;
    use super::*;

    #[test]
    fn agents_have_loopback_addresses_of_their_own() {
        let first = IpAddr::V4(Ipv4Addr::LOCALHOST);
        assert_eq!(own_loopback(first, 0), first);
        assert_eq!(own_loopback(first, 2), IpAddr::from([127, 0, 0, 3]));
        assert_eq!(own_loopback(first, 300), IpAddr::from([127, 0, 1, 45]));
        let other = IpAddr::from([10, 0, 0, 1]);
        assert_eq!(own_loopback(other, 2), other);
    }

    #[test]
    fn refuses_ports_beyond_the_last() {
        let config = ClusterConfig {
            agents: vec![AgentSpec::default(); 3],
            agent_port: 65_534,
            ..ClusterConfig::default()
        };
        let error = agent(&config, 2).unwrap_err();
        assert!(
            matches!(
                error,
                Error::Ports {
                    first: 65_534,
                    count: 3
                }
            ),
            "{error}"
        );
    }
}

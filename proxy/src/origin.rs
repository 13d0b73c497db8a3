//! What is sent to an origin and where: the request after the policies and the
//! origin-request hook, and the peer it goes to. Which header may pass is in
//! [`forward`].

mod access_control;
mod forward;
mod peer;
mod upgrade;

pub(crate) use access_control::{BODY_BYTES_MAX, hashes_body, is_signable, sign, signs};
pub(crate) use forward::{OriginHeaders, forwarded, seen};
pub(crate) use peer::{addresses, peer};
pub(crate) use upgrade::{Gate, GatedConnector};

use deployment::{AccessControl, Origin, OriginKind};
use event::{EventOrigin, Headers, OriginProtocol};
use http::Method;
use std::path::PathBuf;
use std::time::Duration;

/// The request an origin gets.
#[derive(Clone, Debug)]
pub(crate) struct OriginRequest {
    pub(crate) method: Method,
    /// The raw path, without the origin's own prefix.
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: Headers,
    pub(crate) target: Target,
}

impl OriginRequest {
    /// The request target on the wire.
    pub(crate) fn wire_target(&self) -> String {
        crate::wire::target(&format!("{}{}", self.target.prefix, self.path), &self.query)
    }

    /// The headers on the wire: the origin's custom headers take the place of others of their name.
    pub(crate) fn wire_headers(&self) -> Headers {
        let mut headers = self.headers.clone();
        self.target.custom_headers.iter().for_each(|(name, _)| headers.remove(name));
        self.target.custom_headers.iter().for_each(|(name, value)| headers.push(name, value.clone()));
        headers
    }
}

/// Where a request goes.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) place: Place,
    pub(crate) prefix: String,
    pub(crate) custom_headers: Headers,
    pub(crate) connection_attempts: u8,
    pub(crate) connect_timeout: Duration,
    pub(crate) read_timeout: Duration,
    pub(crate) keepalive_timeout: Duration,
    /// How requests to the configured place are signed.
    pub(crate) access_control: Option<AccessControl>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Http {
        tls: bool,
        host: String,
        port: u16,
    },
    /// A directory, by the name it goes by in events and its path.
    Directory {
        name: String,
        path: PathBuf,
    },
    /// The same for a Unix socket.
    Socket {
        name: String,
        path: PathBuf,
    },
}

impl Place {
    /// What it goes by when it is on this machine.
    fn local_name(&self) -> Option<&str> {
        match self {
            Place::Http { .. } => None,
            Place::Directory { name, .. } | Place::Socket { name, .. } => Some(name),
        }
    }
}

impl Target {
    /// As the configuration says.
    pub(crate) fn configured(origin: &Origin) -> Target {
        let (place, prefix) = match &origin.kind {
            OriginKind::Http { tls, host, port, path } => {
                (Place::Http { tls: *tls, host: host.clone(), port: *port }, path.clone())
            }
            OriginKind::Directory(path) => {
                let name = format!("{}.directory.selvedge.local", origin.name);
                (Place::Directory { name, path: path.clone() }, String::new())
            }
            OriginKind::Socket(path) => {
                let name = format!("{}.socket.selvedge.local", origin.name);
                (Place::Socket { name, path: path.clone() }, String::new())
            }
        };
        let custom = origin.custom_headers.iter();
        Target {
            place,
            prefix,
            custom_headers: custom.map(|(name, value)| (name.as_str(), value.as_bytes().to_vec())).collect(),
            connection_attempts: origin.connection_attempts,
            connect_timeout: origin.connect_timeout,
            read_timeout: origin.read_timeout,
            keepalive_timeout: origin.keepalive_timeout,
            access_control: origin.access_control.clone(),
        }
    }

    /// As a function says, whole: nothing of the configured origin stays but
    /// how often and how long to try to connect. A changed custom header on a
    /// directory or socket keeps it. What is asked of another place is not signed.
    pub(crate) fn replaced(&self, origin: EventOrigin) -> Target {
        let mut target = self.clone();
        match origin {
            EventOrigin::Custom {
                domain_name,
                path,
                port,
                protocol,
                read_timeout,
                keepalive_timeout,
                custom_headers,
                ..
            } => {
                if self.place.local_name() != Some(&domain_name) {
                    let tls = protocol == OriginProtocol::Https;
                    target.place = Place::Http { tls, host: domain_name, port };
                }
                target.prefix = path;
                target.read_timeout = read_timeout;
                target.keepalive_timeout = keepalive_timeout;
                target.custom_headers = custom_headers;
            }
            EventOrigin::S3 { domain_name, path, read_timeout, custom_headers, .. } => {
                target.place = Place::Http { tls: true, host: domain_name, port: 443 };
                target.prefix = path;
                target.read_timeout = read_timeout.unwrap_or(self.read_timeout);
                target.custom_headers = custom_headers;
            }
        }
        if target.place != self.place {
            target.access_control = None;
        }
        target
    }

    /// `request.origin` of an origin event.
    pub(crate) fn event_origin(&self) -> EventOrigin {
        let (domain_name, port, tls) = match &self.place {
            Place::Http { tls, host, port } => (host.clone(), *port, *tls),
            Place::Directory { name, .. } | Place::Socket { name, .. } => (name.clone(), 80, false),
        };
        EventOrigin::Custom {
            domain_name,
            path: self.prefix.clone(),
            port,
            protocol: if tls { OriginProtocol::Https } else { OriginProtocol::Http },
            read_timeout: self.read_timeout,
            keepalive_timeout: self.keepalive_timeout,
            response_completion_timeout: None,
            ssl_protocols: vec!["TLSv1.2".to_owned()],
            custom_headers: self.custom_headers.clone(),
        }
    }

    /// The `Host` an origin gets unless the viewer's is forwarded.
    pub(crate) fn host(&self) -> String {
        match &self.place {
            Place::Directory { name, .. } | Place::Socket { name, .. } => name.clone(),
            Place::Http { tls: true, host, port: 443 } | Place::Http { tls: false, host, port: 80 } => host.clone(),
            Place::Http { host, port, .. } => format!("{host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory() -> Target {
        Target::configured(&Origin {
            name: "files".into(),
            kind: OriginKind::Directory("/srv".into()),
            custom_headers: vec![],
            connection_attempts: 3,
            connect_timeout: Duration::from_secs(1),
            read_timeout: Duration::from_secs(2),
            keepalive_timeout: Duration::from_secs(5),
            access_control: None,
        })
    }

    #[test]
    fn an_origin_left_as_it_was_stays_the_same() {
        let target = directory();
        let same = target.replaced(target.event_origin());
        assert_eq!(same.place, target.place);
    }

    #[test]
    fn what_a_function_turns_elsewhere_is_not_signed() {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("key"), "[k]\naws_access_key_id = A\naws_secret_access_key = s\n").unwrap();
        let text = "[distributions.d]\ndomains = ['*']\n[distributions.d.origins.o]\nurl = 'https://b.test/p'\n\
                    access_control = { credentials = 'key' }\n[distributions.d.default_behavior]\norigin = 'o'\n";
        std::fs::write(place.path().join("selvedge.toml"), text).unwrap();
        let config = deployment::load(&place.path().join("selvedge.toml")).unwrap();
        let target = Target::configured(&config.deployment.distributions[0].origins["o"]);
        let EventOrigin::Custom { .. } = target.event_origin() else { panic!("it is a custom origin") };
        let replaced = |change: &dyn Fn(&mut String, &mut String, &mut u16)| {
            let mut origin = target.event_origin();
            if let EventOrigin::Custom { domain_name, path, port, .. } = &mut origin {
                change(domain_name, path, port);
            }
            target.replaced(origin).access_control.is_some()
        };
        assert!(replaced(&|_, path, _| *path = "/other".into()));
        assert!(!replaced(&|domain, _, _| *domain = "c.test".into()));
        assert!(!replaced(&|_, _, port| *port = 8443));
    }

    #[test]
    fn a_function_can_replace_the_origin_whole() {
        let origin = EventOrigin::Custom {
            domain_name: "b.example".into(),
            path: "/v2".into(),
            port: 8443,
            protocol: OriginProtocol::Https,
            read_timeout: Duration::from_secs(9),
            keepalive_timeout: Duration::from_secs(5),
            response_completion_timeout: None,
            ssl_protocols: vec![],
            custom_headers: [("x-a", "1")].into_iter().collect(),
        };
        let target = directory().replaced(origin);
        assert_eq!(target.host(), "b.example:8443");
        let request = OriginRequest {
            method: Method::GET,
            path: "/p".into(),
            query: "q=1".into(),
            headers: [("X-A", "viewer"), ("X-B", "2")].into_iter().collect(),
            target,
        };
        assert_eq!(request.wire_target(), "/v2/p?q=1");
        let lines: Vec<_> = request.wire_headers().into_iter().map(|line| line.name).collect();
        assert_eq!(lines, ["X-B", "x-a"]);
    }
}

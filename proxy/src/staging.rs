//! Continuous deployment: whether a request is answered by its distribution or by that one's
//! staging distribution, and the cookie that keeps a viewer's session with one of them. No
//! state: every PoP that runs the deployment decides alike. `edge::viewer_request` asks.

use crate::wire;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use deployment::{ContinuousDeployment, Distribution, Session, Traffic};
use http::HeaderValue;
use pingora::Result;
use pingora::http::RequestHeader;
use rand::Rng as _;
use ring::hmac;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// What becomes of a request.
#[derive(Debug)]
pub(crate) struct Choice {
    pub(crate) distribution: Arc<Distribution>,
    /// For the viewer, where its session is to go on.
    pub(crate) cookie: Option<HeaderValue>,
}

/// Chooses for a request for `primary`, which has this policy; takes the session's cookie out of it.
///
/// # Errors
/// None that a request which was read can cause.
pub(crate) fn choose(
    primary: &Arc<Distribution>,
    policy: &ContinuousDeployment,
    request: &mut RequestHeader,
    tls: Tls,
) -> Result<Choice> {
    let (staged, cookie) = match &policy.traffic {
        Traffic::Header { name, value } => (request.headers.get_all(name).iter().any(|sent| sent == value), None),
        Traffic::Weight { weight, session: None } => (rand::rng().random_bool(*weight), None),
        Traffic::Weight { weight, session: Some(session) } => {
            let keeper = Keeper { session, primary: &primary.id, staging: &policy.staging.id };
            let shown = wire::take_cookie(request, COOKIE)?;
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
            let known = shown.and_then(|shown| keeper.open(&shown, now));
            let visit = match &known {
                Some(visit) => Visit { seen: now.max(visit.seen), ..*visit },
                None => Visit { staged: rand::rng().random_bool(*weight), began: now, seen: now },
            };
            let cookie = (known != Some(visit)).then(|| keeper.cookie(visit, tls)).flatten();
            (visit.staged, cookie)
        }
    };
    let distribution = if staged { &policy.staging } else { primary };
    Ok(Choice { distribution: Arc::clone(distribution), cookie })
}

/// Whether the viewer came over TLS, and its cookie goes nowhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tls {
    Yes,
    No,
}

/// A session so far. Times are Unix seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Visit {
    staged: bool,
    began: u64,
    seen: u64,
}

/// Knows its own sessions again: those of one pair of distributions, with one key.
struct Keeper<'a> {
    session: &'a Session,
    primary: &'a str,
    staging: &'a str,
}

impl Keeper<'_> {
    /// The session that a viewer shows, while it goes on.
    fn open(&self, shown: &[u8], now: u64) -> Option<Visit> {
        let sealed = URL_SAFE_NO_PAD.decode(shown).ok()?;
        let (plain, tag) = sealed.split_first_chunk::<PLAIN_BYTES>()?;
        hmac::verify(&self.key(), &self.signed(plain), tag).ok()?;
        let (staged, times) = plain.split_first()?;
        let (began, seen) = times.split_first_chunk::<8>()?;
        let visit = Visit {
            staged: *staged == 1,
            began: u64::from_be_bytes(*began),
            seen: u64::from_be_bytes(seen.try_into().ok()?),
        };
        self.left(visit, now).map(|_| visit)
    }

    /// What a visit has left at most when nothing more comes; `None` when it is over.
    fn left(&self, visit: Visit, now: u64) -> Option<u64> {
        let until = |from: u64, length: Duration| (from + length.as_secs()).checked_sub(now).filter(|left| *left > 0);
        Some(until(visit.seen, self.session.idle)?.min(until(visit.began, self.session.maximum)?))
    }

    fn cookie(&self, visit: Visit, tls: Tls) -> Option<HeaderValue> {
        let left = self.left(visit, visit.seen)?;
        let secure = if tls == Tls::Yes { "; Secure" } else { "" };
        let text = format!("{COOKIE}={}; Path=/; Max-Age={left}; HttpOnly{secure}", self.seal(visit));
        HeaderValue::try_from(text).ok()
    }

    fn seal(&self, visit: Visit) -> String {
        let mut sealed = [0; PLAIN_BYTES + TAG_BYTES];
        sealed[0] = u8::from(visit.staged);
        sealed[1..9].copy_from_slice(&visit.began.to_be_bytes());
        sealed[9..PLAIN_BYTES].copy_from_slice(&visit.seen.to_be_bytes());
        let tag = hmac::sign(&self.key(), &self.signed(&sealed[..PLAIN_BYTES]));
        sealed[PLAIN_BYTES..].copy_from_slice(tag.as_ref());
        URL_SAFE_NO_PAD.encode(sealed)
    }

    fn key(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, self.session.key.bytes())
    }

    /// What the signature is over. Ids have no slash.
    fn signed(&self, plain: &[u8]) -> Vec<u8> {
        [self.primary.as_bytes(), b"/", self.staging.as_bytes(), b"/", plain].concat()
    }
}

/// CloudFront's own name for it is in none of its documents.
pub(crate) const COOKIE: &str = "aws-cf-cd-session";
/// Where it stays, when it began, when it was seen last.
const PLAIN_BYTES: usize = 17;
/// HMAC-SHA256.
const TAG_BYTES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use deployment::SessionKey;
    use http::HeaderName;
    use std::collections::BTreeMap;

    fn distribution(id: &str) -> Arc<Distribution> {
        Arc::new(Distribution {
            name: id.into(),
            id: id.into(),
            domain_name: "d.test".into(),
            domains: vec![],
            default_root_object: None,
            origins: BTreeMap::new(),
            behaviors: vec![],
            error_pages: vec![],
            cache_tag_header: None,
            geo_restriction: None,
            is_staging: id == "E2",
            continuous_deployment: None,
        })
    }

    fn session(key: u8) -> Session {
        let key = SessionKey::of(&[key; 32]).unwrap();
        Session { idle: Duration::from_secs(300), maximum: Duration::from_secs(1_000), key }
    }

    fn policy(traffic: Traffic) -> ContinuousDeployment {
        ContinuousDeployment { staging: distribution("E2"), traffic }
    }

    fn chosen(policy: &ContinuousDeployment, headers: &[(&'static str, &str)]) -> (Choice, RequestHeader) {
        let mut request = RequestHeader::build("GET", b"/", None).unwrap();
        for (name, value) in headers {
            request.append_header(*name, *value).unwrap();
        }
        (choose(&distribution("E1"), policy, &mut request, Tls::No).unwrap(), request)
    }

    #[test]
    fn only_the_exact_value_of_the_header_is_sent_to_staging() {
        let (name, value) = (HeaderName::from_static("aws-cf-cd-next"), HeaderValue::from_static("yes"));
        let policy = policy(Traffic::Header { name, value });
        let to = |headers: &[(&'static str, &str)]| chosen(&policy, headers).0.distribution.id.clone();
        assert_eq!(to(&[("Aws-Cf-Cd-Next", "yes")]), "E2");
        for headers in [&[("aws-cf-cd-next", "Yes")], &[("aws-cf-cd-next", "")], &[("aws-cf-cd-other", "yes")]] {
            assert_eq!(to(headers), "E1", "{headers:?}");
        }
        assert_eq!(to(&[]), "E1");
    }

    #[test]
    fn a_weight_is_the_share_of_requests_that_go_to_staging() {
        let staged = |weight: f64| {
            let policy = policy(Traffic::Weight { weight, session: None });
            (0..100_000).filter(|_| chosen(&policy, &[]).0.distribution.is_staging).count()
        };
        assert_eq!(staged(0.0), 0);
        // Seven standard deviations around 15,000: one run in some hundred thousand million fails.
        assert!((14_210..=15_790).contains(&staged(0.15)));
    }

    #[test]
    fn a_session_ends_when_it_idles_and_at_its_maximum() {
        let session = session(1);
        let keeper = Keeper { session: &session, primary: "E1", staging: "E2" };
        let sealed = keeper.seal(Visit { staged: true, began: 1_000, seen: 1_600 });
        let at = |now: u64| keeper.open(sealed.as_bytes(), now).map(|visit| visit.staged);
        assert_eq!((at(1_600), at(1_899), at(1_900)), (Some(true), Some(true), None));
        // Another PoP's clock may be behind.
        assert_eq!(at(1_590), Some(true));
        let late = keeper.seal(Visit { staged: false, began: 1_000, seen: 1_900 });
        let at = |now: u64| keeper.open(late.as_bytes(), now).map(|visit| visit.staged);
        assert_eq!((at(1_999), at(2_000)), (Some(false), None));
        let cookie = keeper.cookie(Visit { staged: true, began: 1_000, seen: 1_900 }, Tls::Yes).unwrap();
        let cookie = cookie.to_str().unwrap();
        assert!(cookie.ends_with("; Path=/; Max-Age=100; HttpOnly; Secure"), "{cookie}");
    }

    #[test]
    fn a_session_that_was_changed_or_is_of_another_pair_is_none() {
        let (session, other) = (session(1), session(2));
        let keeper = Keeper { session: &session, primary: "E1", staging: "E2" };
        let sealed = keeper.seal(Visit { staged: false, began: 1_000, seen: 1_000 });
        assert!(keeper.open(sealed.as_bytes(), 1_000).is_some());
        for stranger in [
            Keeper { session: &other, ..keeper },
            Keeper { primary: "E3", ..keeper },
            Keeper { staging: "E3", ..keeper },
        ] {
            assert_eq!(stranger.open(sealed.as_bytes(), 1_000), None);
        }
        let whole = URL_SAFE_NO_PAD.decode(&sealed).unwrap();
        for nth in 0..whole.len() {
            let mut changed = whole.clone();
            changed[nth] ^= 1;
            assert_eq!(keeper.open(URL_SAFE_NO_PAD.encode(&changed).as_bytes(), 1_000), None, "byte {nth}");
        }
        for made_up in ["", "x", &sealed[1..], &sealed[..sealed.len() - 4]] {
            assert_eq!(keeper.open(made_up.as_bytes(), 1_000), None, "{made_up}");
        }
    }

    #[test]
    fn a_viewer_that_shows_its_session_stays_and_nobody_behind_sees_the_cookie() {
        let policy = policy(Traffic::Weight { weight: 0.15, session: Some(session(1)) });
        for _ in 0..50 {
            let (first, _) = chosen(&policy, &[]);
            let cookie = first.cookie.unwrap().to_str().unwrap().split(';').next().unwrap().to_owned();
            let lines = format!("a=1; {cookie}; b=2");
            for _ in 0..20 {
                let (next, request) = chosen(&policy, &[("cookie", &lines), ("cookie", "c=3")]);
                assert_eq!(next.distribution.id, first.distribution.id);
                let left: Vec<&HeaderValue> = request.headers.get_all("cookie").iter().collect();
                assert_eq!(left, ["a=1; b=2", "c=3"]);
            }
        }
    }

    #[test]
    fn a_session_s_cookie_is_renewed_when_its_second_is_over() {
        let session = session(1);
        let keeper = Keeper { session: &session, primary: "E1", staging: "E2" };
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let policy = policy(Traffic::Weight { weight: 0.0, session: Some(session.clone()) });
        let shown = |seen: u64| {
            let sealed = keeper.seal(Visit { staged: true, began: now - 200, seen });
            chosen(&policy, &[("cookie", &format!("{COOKIE}={sealed}"))]).0
        };
        let earlier = shown(now - 100);
        assert!(earlier.distribution.is_staging && earlier.cookie.is_some());
        assert!(shown(now + 5).cookie.is_none());
        let ended = shown(now - 301);
        assert!(!ended.distribution.is_staging && ended.cookie.is_some());
    }
}

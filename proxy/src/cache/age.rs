//! How old a response is when it arrives, and how long its `Expires` lets it
//! live: the arithmetic of RFC 9111 4.2.1 and 4.2.3. Pure.

use http::header::{AGE, DATE, EXPIRES};
use http::{HeaderMap, HeaderName};
use std::time::{Duration, SystemTime};

/// The age of a response on arrival. `None`: its `Age` is not one whole number,
/// so it counts as stale (RFC 9111 4.2.1 encourages that for what cannot be read).
pub(crate) fn on_arrival(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let mut lines = headers.get_all(AGE).iter();
    let stated = match (lines.next(), lines.next()) {
        (None, _) => Duration::ZERO,
        (Some(line), None) => whole_seconds(line.as_bytes())?,
        (Some(_), Some(_)) => return None,
    };
    let since_date = date(headers, &DATE).and_then(|date| now.duration_since(date).ok()).unwrap_or_default();
    // Dates are whole seconds, and servers round down.
    let apparent = Duration::from_secs(since_date.as_secs().saturating_sub(1));
    Some(stated.max(apparent))
}

/// The lifetime that `Expires` states; `None` without one. What is no date, or
/// two of them, is in the past (RFC 9111 5.3).
pub(crate) fn expires(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    if !headers.contains_key(EXPIRES) {
        return None;
    }
    let from = date(headers, &DATE).unwrap_or(now);
    let until = date(headers, &EXPIRES).and_then(|until| until.duration_since(from).ok());
    Some(until.unwrap_or_default())
}

/// A header that is one date.
fn date(headers: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    let mut lines = headers.get_all(name).iter();
    let line = lines.next().filter(|_| lines.next().is_none())?;
    httpdate::parse_http_date(line.to_str().ok()?).ok()
}

fn whole_seconds(digits: &[u8]) -> Option<Duration> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    // More than fits: older than anything lives.
    let seconds =
        digits.iter().fold(0_u64, |sum, digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0')));
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;
    use std::time::UNIX_EPOCH;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers
                .append(HeaderName::from_static(name), HeaderValue::from_str(value).expect("a test's value is valid"));
        }
        headers
    }

    fn at(seconds: u64) -> String {
        httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds))
    }

    const NOW: u64 = 1_800_000_000;

    fn age(lines: &[(&'static str, &str)]) -> Option<u64> {
        on_arrival(&headers(lines), UNIX_EPOCH + Duration::from_secs(NOW)).map(|age| age.as_secs())
    }

    #[test]
    fn the_age_is_the_larger_of_what_is_stated_and_what_the_date_shows() {
        assert_eq!(age(&[]), Some(0));
        assert_eq!(age(&[("age", "30")]), Some(30));
        assert_eq!(age(&[("date", &at(NOW - 10))]), Some(9));
        assert_eq!(age(&[("date", &at(NOW - 1))]), Some(0));
        assert_eq!(age(&[("age", "30"), ("date", &at(NOW - 10))]), Some(30));
        assert_eq!(age(&[("age", "5"), ("date", &at(NOW - 10))]), Some(9));
        assert_eq!(age(&[("date", &at(NOW + 10))]), Some(0));
        assert_eq!(age(&[("date", "yesterday")]), Some(0));
    }

    #[test]
    fn an_age_that_is_not_one_whole_number_is_none() {
        for value in ["abc", "-7200", "7200.0", "7200,0", "0, 0", "7200;foo=bar", ""] {
            assert_eq!(age(&[("age", value)]), None, "{value}");
        }
        assert_eq!(age(&[("age", "0"), ("age", "0")]), None);
        assert_eq!(age(&[("age", "99999999999999999999999999")]), Some(u64::MAX));
    }

    #[test]
    fn expires_counts_from_the_origins_own_clock() {
        let now = UNIX_EPOCH + Duration::from_secs(NOW);
        let lifetime = |lines: &[(&'static str, &str)]| expires(&headers(lines), now).map(|life| life.as_secs());
        assert_eq!(lifetime(&[]), None);
        assert_eq!(lifetime(&[("expires", &at(NOW + 60))]), Some(60));
        assert_eq!(lifetime(&[("expires", &at(NOW + 60)), ("date", &at(NOW + 40))]), Some(20));
        assert_eq!(lifetime(&[("expires", &at(NOW + 60)), ("date", &at(NOW + 80))]), Some(0));
        assert_eq!(lifetime(&[("expires", &at(NOW + 60)), ("date", "foo")]), Some(60));
        assert_eq!(lifetime(&[("expires", "0")]), Some(0));
        assert_eq!(lifetime(&[("expires", &at(NOW + 60)), ("expires", &at(NOW + 60))]), Some(0));
    }

    proptest! {
        #[test]
        fn age_and_lifetime_never_panic_and_never_go_below_zero(
            age in "[0-9,;. -]{0,24}", date in 0u64..4_000_000_000, expires_at in 0u64..4_000_000_000, now in 0u64..4_000_000_000,
        ) {
            let (date, expires_at) = (at(date), at(expires_at));
            let sent = headers(&[("age", age.trim()), ("date", &date), ("expires", &expires_at)]);
            let now = UNIX_EPOCH + Duration::from_secs(now);
            prop_assert!(expires(&sent, now).is_some());
            prop_assert_eq!(on_arrival(&sent, now).is_some(), !age.trim().is_empty() && age.trim().bytes().all(|byte| byte.is_ascii_digit()));
        }

        #[test]
        fn a_response_is_fresh_exactly_as_long_as_rfc_9111_says(
            lifetime in 0u64..100_000, stated in 0u64..100_000, sent_ago in 0u64..100_000,
        ) {
            let now = UNIX_EPOCH + Duration::from_secs(NOW);
            let (date, until) = (at(NOW - sent_ago), at(NOW - sent_ago + lifetime));
            let sent = headers(&[("age", &stated.to_string()), ("date", &date), ("expires", &until)]);
            prop_assert_eq!(expires(&sent, now), Some(Duration::from_secs(lifetime)));
            prop_assert_eq!(on_arrival(&sent, now), Some(Duration::from_secs(stated.max(sent_ago.saturating_sub(1)))));
        }
    }
}

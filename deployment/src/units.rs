//! Durations and sizes as people write them: `10s`, `1d`, `256 MB`.

use std::time::Duration;

/// A whole number and a unit: `ms`, `s`, `m`, `h` or `d`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let expected =
        || format!("{text:?} is not a duration: expected a whole number and ms, s, m, h or d, as in \"10s\"");
    let (number, unit) = split(text).ok_or_else(expected)?;
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(expected()),
    };
    let total = number.checked_mul(milliseconds).ok_or_else(|| format!("{text:?} is too long"))?;
    Ok(Duration::from_millis(total))
}

/// A whole number and a unit: `B`, `KB`, `MB` or `GB`, powers of 1,024 as in Lambda's quotas.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let expected = || format!("{text:?} is not a size: expected a whole number and B, KB, MB or GB, as in \"256 MB\"");
    let (number, unit) = split(text).ok_or_else(expected)?;
    let factor = match unit {
        "B" => 1,
        "KB" => 1 << 10,
        "MB" => 1 << 20,
        "GB" => 1 << 30,
        _ => return Err(expected()),
    };
    number.checked_mul(factor).ok_or_else(|| format!("{text:?} is too large"))
}

/// A duration for messages, in the largest unit that fits it exactly.
pub(crate) fn written(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    for (unit, length) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)] {
        if milliseconds >= length && milliseconds.is_multiple_of(length) {
            return format!("{}{unit}", milliseconds / length);
        }
    }
    if milliseconds == 0 { "0s".into() } else { format!("{milliseconds}ms") }
}

fn split(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    Some((text[..end].parse().ok()?, text[end..].trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_known_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("10 s"), Ok(Duration::from_secs(10)));
        assert_eq!(duration("1d"), Ok(Duration::from_secs(86_400)));
        for text in ["", "10", "s", "1.5s", "-1s", "10 years", "1s1"] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert!(duration("999999999999999999d").unwrap_err().contains("too long"));
    }

    #[test]
    fn sizes_are_powers_of_1024() {
        assert_eq!(bytes("256 MB"), Ok(256 * 1024 * 1024));
        assert_eq!(bytes("1KB"), Ok(1024));
        assert!(bytes("256").is_err());
        assert!(bytes("1 mb").is_err());
        assert!(bytes("99999999999999 GB").unwrap_err().contains("too large"));
    }

    #[test]
    fn durations_are_written_as_they_are_read() {
        for text in ["0s", "500ms", "10s", "90s", "3m", "1d"] {
            assert_eq!(written(duration(text).unwrap()), text);
        }
    }
}

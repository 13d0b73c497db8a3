//! How much log text one invocation, or one init phase, may write.

/// Counts log bytes and cuts once, with a notice.
pub struct LogBudget {
    bytes_max: usize,
    left: usize,
    noticed: bool,
}

impl LogBudget {
    /// A whole one.
    #[must_use]
    pub fn new(bytes_max: usize) -> LogBudget {
        LogBudget { bytes_max, left: bytes_max, noticed: false }
    }

    /// A new invocation starts with the whole budget.
    pub fn refill(&mut self) {
        self.left = self.bytes_max;
        self.noticed = false;
    }

    /// Passes `line` to `keep`, or the notice in place of the first line that does not fit, or nothing.
    pub fn spend(&mut self, line: &[u8], mut keep: impl FnMut(&[u8])) {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let cost = line.len() + 1;
        if !self.noticed && cost <= self.left {
            self.left -= cost;
            keep(line);
        } else if !self.noticed {
            self.noticed = true;
            keep(
                format!("log limit of {} bytes per invocation reached, the rest is dropped", self.bytes_max).as_bytes(),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_over_the_limit_become_one_notice_until_refilled() {
        let mut budget = LogBudget::new(10);
        let mut kept = Vec::new();
        for line in ["12345\n", "1234567", "1"] {
            budget.spend(line.as_bytes(), |line| kept.push(String::from_utf8(line.to_vec()).unwrap()));
        }
        budget.refill();
        budget.spend(b"again", |line| kept.push(String::from_utf8(line.to_vec()).unwrap()));
        assert_eq!(kept, ["12345", "log limit of 10 bytes per invocation reached, the rest is dropped", "again"]);
    }
}

//! One line per request: what was asked, what was answered, what the cache did,
//! how each hook went and how long it all took.

use crate::hooks::HookRecord;
use std::fmt::Write;
use std::time::Duration;

/// What a line says.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    pub(crate) method: &'a str,
    pub(crate) target: &'a str,
    /// 0 when the viewer left before it had an answer.
    pub(crate) status: u16,
    /// The `X-Cache` value up to its first space, or why there is none.
    pub(crate) cache: &'a str,
    /// The staging distribution that answered in the place of the one that was asked.
    pub(crate) staging: Option<&'a str>,
    pub(crate) hooks: &'a [HookRecord],
    pub(crate) total: Duration,
}

/// Whether lines are wanted at all.
pub(crate) fn is_on() -> bool {
    tracing::enabled!(target: "access", tracing::Level::INFO)
}

impl Line<'_> {
    /// For example `GET /a 200 Miss viewer-request=ab:ok:1.2ms 3.4ms`.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("{} {} {} {}", self.method, self.target, self.status, self.cache);
        if let Some(name) = self.staging {
            let _ = write!(text, " staging={name}");
        }
        for hook in self.hooks {
            let _ = write!(text, " {}={}:{}:{}", hook.event, hook.function, hook.outcome, millis(hook.took));
        }
        let _ = write!(text, " {}", millis(self.total));
        text
    }

    /// Writes the line.
    pub(crate) fn write(&self, request_id: &str) {
        tracing::info!(target: "access", request_id, "{}", self.text());
    }
}

fn millis(duration: Duration) -> String {
    format!("{:.1}ms", duration.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use event::EventType;

    #[test]
    fn a_line_names_each_hook_with_its_outcome_and_time() {
        let hooks = [HookRecord {
            event: EventType::ViewerRequest,
            function: "ab".into(),
            outcome: "ok",
            took: Duration::from_micros(1240),
        }];
        let line = Line {
            method: "GET",
            target: "/a?b=1",
            status: 200,
            cache: "Miss",
            staging: None,
            hooks: &hooks,
            total: Duration::from_micros(3400),
        };
        assert_eq!(line.text(), "GET /a?b=1 200 Miss viewer-request=ab:ok:1.2ms 3.4ms");
        let staged = Line { staging: Some("next"), ..line };
        assert_eq!(staged.text(), "GET /a?b=1 200 Miss staging=next viewer-request=ab:ok:1.2ms 3.4ms");
    }
}

//! What `selvedge dev` writes to the terminal: a line for each request, what
//! functions say, and warnings. Everything that is logged comes by here.

use anyhow::Context as _;
use std::fmt::{self, Write as _};
use std::io::{IsTerminal, Write};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry};

/// How a piece of a line looks, where there are colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    Dim,
    Strong,
    Good,
    Warn,
    Bad,
}

/// Pieces of one line, or of several.
pub(crate) type Line = [(Style, String)];

/// Standard output. Cloning is cheap.
#[derive(Clone)]
pub(crate) struct Terminal {
    colours: bool,
}

impl Terminal {
    /// Takes everything that is logged from now on; `$SELVEDGE_LOG` says what that is.
    ///
    /// # Errors
    /// The variable cannot be read.
    pub(crate) fn start() -> anyhow::Result<Terminal> {
        let wanted = std::env::var(crate::serve::LOG_VARIABLE).unwrap_or_else(|_| LOG_DEFAULT.into());
        let filter =
            EnvFilter::try_new(&wanted).with_context(|| format!("${} is {wanted:?}", crate::serve::LOG_VARIABLE))?;
        let terminal = Terminal { colours: std::io::stdout().is_terminal() };
        Registry::default().with(terminal.clone().with_filter(filter)).init();
        Ok(terminal)
    }

    /// A terminal that is gone is no reason to stop.
    pub(crate) fn say(&self, line: &Line) {
        let mut text = String::new();
        for (style, piece) in line {
            match style.code().filter(|_| self.colours) {
                Some(code) => {
                    let _ = write!(text, "\x1b[{code}m{piece}\x1b[0m");
                }
                None => text.push_str(piece),
            }
        }
        text.push('\n');
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }

    /// The same after the time of day, in UTC as in the functions' logs.
    pub(crate) fn timed(&self, line: &Line) {
        let now = time::OffsetDateTime::now_utc();
        let clock = format!("{:02}:{:02}:{:02} ", now.hour(), now.minute(), now.second());
        self.say(&[&[(Style::Dim, clock)], line].concat());
    }
}

impl Style {
    fn code(self) -> Option<&'static str> {
        match self {
            Style::Plain => None,
            Style::Dim => Some("2"),
            Style::Strong => Some("1"),
            Style::Good => Some("32"),
            Style::Warn => Some("33"),
            Style::Bad => Some("31"),
        }
    }
}

impl<S: Subscriber> Layer<S> for Terminal {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        match event.metadata().target() {
            "access" => self.timed(&access(&fields.message)),
            // The function's own log said it, with the place.
            "hook" if TOLD.contains(&fields.outcome.as_str()) => {}
            "hook" => {
                let said = format!("{} ", fields.function);
                self.timed(&[(Style::Bad, "error ".into()), (Style::Dim, said), (Style::Plain, fields.message)]);
            }
            _ => {
                let (style, word) = match *event.metadata().level() {
                    Level::ERROR => (Style::Bad, "error "),
                    Level::WARN => (Style::Warn, "warning "),
                    _ => (Style::Dim, ""),
                };
                let said = format!("{}{}", fields.message, fields.others);
                self.timed(&[(style, word.into()), (Style::Plain, said)]);
            }
        }
    }
}

/// `GET /a 200 Miss viewer-request=f:ok:1.2ms 3.4ms` as a person wants to see it.
fn access(line: &str) -> Vec<(Style, String)> {
    let mut words = line.splitn(4, ' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (status, rest) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let style = match status.as_bytes().first() {
        Some(b'2' | b'3') => Style::Good,
        Some(b'4') => Style::Warn,
        _ => Style::Bad,
    };
    vec![(style, status.to_owned()), (Style::Plain, format!(" {method} {target} ")), (Style::Dim, rest.to_owned())]
}

#[derive(Default)]
struct Fields {
    message: String,
    function: String,
    outcome: String,
    others: String,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "function" => self.function = value.to_owned(),
            "outcome" => self.outcome = value.to_owned(),
            _ => self.record_debug(field, &value),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            "function" => write!(self.function, "{value:?}"),
            name => write!(self.others, " {name}={value:?}"),
        };
    }
}

/// Outcomes with an error of the function's own, which its log has.
const TOLD: [&str; 2] = ["threw", "init-failed"];
/// Of `functions::function`, what its log has, too.
const LOG_DEFAULT: &str = "warn,access=info,functions::function=off";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_a_request_stands_first() {
        let line = access("GET /a?b 503 LambdaExecutionError viewer-request=f:threw:1.2ms 3.4ms");
        assert_eq!(line[0], (Style::Bad, "503".to_owned()));
        let text: String = line.into_iter().map(|(_, piece)| piece).collect();
        assert_eq!(text, "503 GET /a?b LambdaExecutionError viewer-request=f:threw:1.2ms 3.4ms");
    }
}

//! How many frames a viewer sends on an HTTP/2 connection that cost the edge work and
//! the viewer nothing: resets of streams it has just opened (CVE-2023-44487), settings,
//! pings and priorities (CVE-2019-9512, -9513, -9515). Reads frame heads only (RFC 9113
//! 4.1); the HTTP/2 library judges the rest. [`super::h2_stream`] feeds it.

use std::time::Duration;
use tokio::time::Instant;

/// Counts frames of one connection in windows of [`WINDOW`].
#[derive(Debug)]
pub(crate) struct FrameCounter {
    /// Of the connection preface and of payloads: still to be passed over.
    skip: usize,
    head: [u8; HEAD_BYTES],
    head_length: usize,
    window_ends: Instant,
    resets: u32,
    controls: u32,
}

/// More frames within [`WINDOW`] than a viewer has a use for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TooMany {
    #[error("more than {RESETS_MAX} streams were reset within {} s", WINDOW.as_secs())]
    Resets,
    #[error("more than {CONTROLS_MAX} settings, pings and priorities came within {} s", WINDOW.as_secs())]
    Controls,
}

impl FrameCounter {
    /// For a connection whose first bytes are still to come.
    pub(crate) fn new(now: Instant) -> FrameCounter {
        FrameCounter {
            skip: PREFACE_BYTES,
            head: [0; HEAD_BYTES],
            head_length: 0,
            window_ends: now + WINDOW,
            resets: 0,
            controls: 0,
        }
    }

    /// Counts the frames that begin in the connection's next bytes.
    pub(crate) fn count(&mut self, mut bytes: &[u8], now: Instant) -> Result<(), TooMany> {
        if now >= self.window_ends {
            (self.resets, self.controls, self.window_ends) = (0, 0, now + WINDOW);
        }
        while !bytes.is_empty() {
            if self.skip > 0 {
                let passed = self.skip.min(bytes.len());
                self.skip -= passed;
                bytes = &bytes[passed..];
                continue;
            }
            let (taken, rest) = bytes.split_at((HEAD_BYTES - self.head_length).min(bytes.len()));
            self.head[self.head_length..][..taken.len()].copy_from_slice(taken);
            self.head_length += taken.len();
            bytes = rest;
            if self.head_length == HEAD_BYTES {
                self.head_length = 0;
                self.frame()?;
            }
        }
        Ok(())
    }

    fn frame(&mut self) -> Result<(), TooMany> {
        let [high, middle, low, kind, ..] = self.head;
        self.skip = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        match kind {
            RST_STREAM => self.resets += 1,
            PRIORITY | SETTINGS | PING => self.controls += 1,
            _ => {}
        }
        match (self.resets > RESETS_MAX, self.controls > CONTROLS_MAX) {
            (true, _) => Err(TooMany::Resets),
            (_, true) => Err(TooMany::Controls),
            _ => Ok(()),
        }
    }
}

/// A browser that leaves a page resets a few dozen streams at once.
pub(crate) const RESETS_MAX: u32 = 200;
pub(crate) const CONTROLS_MAX: u32 = 1_000;
const WINDOW: Duration = Duration::from_secs(10);

const PREFACE_BYTES: usize = 24;
const HEAD_BYTES: usize = 9;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, 0, 0, 0, 0, 1], payload].concat()
    }

    fn connection(frames: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
        frames.into_iter().fold(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), |mut all, frame| {
            all.extend(frame);
            all
        })
    }

    #[test]
    fn resets_are_counted_however_the_bytes_are_cut() {
        // Payload bytes that look like resets are none.
        let data = frame(0, &[RST_STREAM; 100]);
        let bytes = connection((0..=RESETS_MAX).flat_map(|_| [data.clone(), frame(RST_STREAM, &[0; 4])]));
        for piece in [1, 7, 9, 4096, bytes.len()] {
            let now = Instant::now();
            let mut counter = FrameCounter::new(now);
            let pieces: Vec<_> = bytes.chunks(piece).collect();
            let first_bad = pieces.iter().position(|bytes| counter.count(bytes, now).is_err());
            // The head of the last reset is there: its 4 bytes may follow.
            assert_eq!(first_bad, Some((bytes.len() - 5) / piece), "pieces of {piece}");
        }
    }

    #[test]
    fn a_window_that_is_over_is_forgotten() {
        let now = Instant::now();
        let mut counter = FrameCounter::new(now);
        let most = (0..RESETS_MAX).map(|_| frame(RST_STREAM, &[0; 4]));
        assert_eq!(counter.count(&connection(most.clone()), now), Ok(()));
        let later: Vec<u8> = most.flatten().collect();
        assert_eq!(counter.count(&later, now + WINDOW), Ok(()));
        assert_eq!(counter.count(&frame(RST_STREAM, &[0; 4]), now + WINDOW), Err(TooMany::Resets));
    }

    #[test]
    fn pings_and_settings_count_together_and_requests_do_not() {
        let now = Instant::now();
        let mut counter = FrameCounter::new(now);
        let headers = (0..10 * CONTROLS_MAX).map(|_| frame(1, b"request"));
        assert_eq!(counter.count(&connection(headers), now), Ok(()));
        let controls = (0..CONTROLS_MAX).map(|n| frame(if n % 2 == 0 { PING } else { SETTINGS }, &[0; 8]));
        assert_eq!(counter.count(&controls.flatten().collect::<Vec<_>>(), now), Ok(()));
        assert_eq!(counter.count(&frame(PING, &[0; 8]), now), Err(TooMany::Controls));
    }
}

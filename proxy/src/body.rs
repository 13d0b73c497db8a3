//! Bodies that the edge holds back or replaces: a request body read early for a
//! function, and a body that takes another's place while that one streams by.

mod whole;

use self::whole::WholeBody;
use crate::guard::upload;
use bytes::{Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use pingora::Result;
use pingora::protocols::http::ServerSession;

/// The part of a request body that was read before the origin was chosen.
///
/// Pingora sends what its own retry buffer has and then what it reads itself. It
/// sends nothing for a body that was read to its end unless that buffer has some
/// of it, so the buffer is switched on while the last piece is still to come; what
/// it holds is the end of [`HeldBody::data`], and is counted once. Where the last
/// piece came unannounced the buffer is [`WholeBody`]'s.
#[derive(Debug, Default)]
pub(crate) struct HeldBody {
    data: BytesMut,
    /// How much of `data`'s end Pingora's retry buffer has too.
    buffered: usize,
    ended: bool,
    /// What is sent instead of the whole body.
    replacement: Option<Bytes>,
    /// Whether this attempt has sent the held part.
    sent: bool,
}

impl HeldBody {
    /// Reads until more than `limit` bytes are held or the body ends.
    ///
    /// # Errors
    /// The viewer's connection failed.
    pub(crate) async fn read(&mut self, session: &mut ServerSession, limit: usize) -> Result<()> {
        let length: Option<usize> =
            session.get_header(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        while !self.ended && self.data.len() <= limit {
            let left = length.map_or(0, |length| length.saturating_sub(self.data.len()));
            if left <= RETRY_BUFFER_BYTES {
                session.enable_retry_buffering();
            }
            upload::waits();
            match session.read_request_body().await? {
                Some(chunk) => self.data.extend_from_slice(&chunk),
                None => self.ended = true,
            }
            self.ended = self.ended || session.is_body_done();
        }
        upload::ended();
        let buffer = session.get_retry_buffer();
        self.buffered = buffer.as_ref().map_or(0, Bytes::len);
        if self.ended && buffer.is_none() && !self.data.is_empty() {
            self.buffered = self.data.len();
            WholeBody::put_before(session, self.data.clone().freeze());
        }
        Ok(())
    }

    /// The first `limit` bytes of the body, and whether there are more.
    pub(crate) fn seen(&self, limit: usize) -> (Bytes, bool) {
        let whole: &[u8] = self.replacement.as_deref().unwrap_or(&self.data);
        let ended = self.ended || self.replacement.is_some();
        let cut = whole.len().min(limit);
        (Bytes::copy_from_slice(&whole[..cut]), cut < whole.len() || !ended)
    }

    /// All that is sent, when it is here.
    pub(crate) fn whole(&self) -> Option<&[u8]> {
        self.replacement.as_deref().or_else(|| self.ended.then_some(&self.data))
    }

    /// Sends these bytes instead of the body.
    pub(crate) fn replace(&mut self, body: Bytes) {
        self.replacement = Some(body);
    }

    /// The length of the replacement, if there is one.
    pub(crate) fn replaced_len(&self) -> Option<usize> {
        self.replacement.as_ref().map(Bytes::len)
    }

    /// A new attempt begins: everything held goes out again.
    pub(crate) fn rewind(&mut self) {
        self.sent = false;
    }

    /// Puts what is held before the first piece Pingora sends, or the replacement in place of everything.
    pub(crate) fn apply(&mut self, piece: &mut Option<Bytes>) {
        let first = !std::mem::replace(&mut self.sent, true);
        if let Some(replacement) = &self.replacement {
            *piece = Some(if first { replacement.clone() } else { Bytes::new() });
        } else if first && !self.data.is_empty() {
            let mut whole = self.data.clone();
            if let Some(rest) = piece.as_ref().and_then(|piece| piece.get(self.buffered..)) {
                whole.extend_from_slice(rest);
            }
            *piece = Some(whole.freeze());
        }
    }
}

/// What becomes of a response body that streams by.
#[derive(Debug, Default)]
pub(crate) enum Swap {
    #[default]
    Keep,
    /// The first piece becomes this.
    Replace(Bytes),
    /// The replacement is out; the rest is dropped.
    Drop,
}

impl Swap {
    pub(crate) fn apply(&mut self, piece: &mut Option<Bytes>) {
        match std::mem::take(self) {
            Swap::Keep => {}
            Swap::Replace(body) => {
                *piece = Some(body);
                *self = Swap::Drop;
            }
            Swap::Drop => {
                *piece = Some(Bytes::new());
                *self = Swap::Drop;
            }
        }
    }
}

/// Pingora's retry buffer, which is also the most it reads at once.
const RETRY_BUFFER_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_replacement_goes_out_once() {
        let mut swap = Swap::Replace(Bytes::from_static(b"new"));
        let mut piece = Some(Bytes::from_static(b"old"));
        swap.apply(&mut piece);
        assert_eq!(piece.unwrap(), "new");
        let mut piece = Some(Bytes::from_static(b"more"));
        swap.apply(&mut piece);
        assert_eq!(piece.unwrap(), "");
    }

    #[test]
    fn held_bytes_come_first_and_are_sent_once_per_attempt() {
        let mut held = HeldBody { data: BytesMut::from("abcdef"), buffered: 2, ..HeldBody::default() };
        // The retry buffer has the held tail "ef" and what was read after it.
        let mut piece = Some(Bytes::from_static(b"efgh"));
        held.apply(&mut piece);
        assert_eq!(piece.unwrap(), "abcdefgh");
        let mut piece = Some(Bytes::from_static(b"ij"));
        held.apply(&mut piece);
        assert_eq!(piece.unwrap(), "ij");
        held.rewind();
        let mut piece = None;
        held.apply(&mut piece);
        assert_eq!(piece.unwrap(), "abcdef");
    }

    #[test]
    fn a_cut_body_says_so() {
        let held = HeldBody { data: BytesMut::from("abcdef"), ended: true, ..HeldBody::default() };
        assert_eq!(held.seen(3), (Bytes::from_static(b"abc"), true));
        assert_eq!(held.seen(6), (Bytes::from_static(b"abcdef"), false));
    }
}

//! However the bytes of a socket are cut, the same frames come out; a frame
//! written again is the frame that was read, byte for byte where it is not JSON.
//! The first byte is the size of the pieces.
#![no_main]

use bytes::{BufMut, BytesMut};
use environment::limits::FRAME_BYTES_MAX;
use environment::{Frame, FrameDecoder, FrameError};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((size, bytes)) = input.split_first() else { return };
    let (frames, end) = decode(bytes.chunks(usize::MAX));
    let (pieces, end_of_pieces) = decode(bytes.chunks(usize::from(*size).max(1)));
    // A NaN is not equal to itself, its text is.
    assert_eq!(format!("{frames:?}{end:?}"), format!("{pieces:?}{end_of_pieces:?}"));

    let mut at = 0;
    for frame in &frames {
        let mut written = BytesMut::new();
        frame.encode(&mut written).expect("it was within the limit when it was read");
        let length = u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as usize;
        let read = &bytes[at..at + 5 + length];
        at += read.len();
        if !matches!(frame, Frame::InitFailed(_) | Frame::Error(_) | Frame::Exiting(_) | Frame::Report(_)) {
            assert_eq!(&written[..], read);
        }
        let (again, end) = decode(std::iter::once(&written[..]));
        assert_eq!((again.len(), end), (1, None));
        assert_eq!(format!("{:?}", again[0]), format!("{frame:?}"));
    }
});

/// Every frame up to the first error, and the error.
fn decode<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Frame>, Option<FrameError>) {
    let mut decoder = FrameDecoder::default();
    let mut frames = Vec::new();
    for piece in pieces {
        decoder.buffer().put_slice(piece);
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
        assert!(decoder.buffer().capacity() <= 2 * (FRAME_BYTES_MAX + 64), "a length alone made it reserve too much");
    }
    (frames, None)
}

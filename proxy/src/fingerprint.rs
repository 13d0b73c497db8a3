//! The fingerprints of a TLS client: JA3 and JA4, from the `ClientHello` as it came
//! over the wire. Pure. `listen` records the bytes, `viewer_headers` tells the origin.

use md5::Md5;
use sha2::{Digest as _, Sha256};
use std::fmt::{Display, LowerHex, Write as _};

/// What the fingerprints are made of, in the client's order and without the values
/// that clients make up (RFC 8701).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClientHello {
    version: u16,
    ciphers: Vec<u16>,
    extensions: Vec<u16>,
    groups: Vec<u16>,
    point_formats: Vec<u8>,
    signatures: Vec<u16>,
    versions: Vec<u16>,
    protocol: Option<Vec<u8>>,
}

impl ClientHello {
    /// Reads the first message of a connection from its records; `None` when they
    /// are cut short, or something else.
    pub(crate) fn parse(records: &[u8]) -> Option<ClientHello> {
        let message = handshake(records)?;
        let mut rest = Bytes(&message);
        let mut hello = ClientHello { version: rest.u16()?, ..ClientHello::default() };
        rest.take(RANDOM_BYTES)?;
        rest.short_list()?;
        hello.ciphers = rest.list()?.numbers()?;
        rest.short_list()?;
        if rest.0.is_empty() {
            return Some(hello);
        }
        let mut extensions = rest.list()?;
        while !extensions.0.is_empty() {
            let (kind, content) = (extensions.u16()?, extensions.list()?);
            if !is_made_up(kind) {
                hello.extensions.push(kind);
                hello.read(kind, content)?;
            }
        }
        Some(hello)
    }

    fn read(&mut self, kind: u16, mut content: Bytes<'_>) -> Option<()> {
        match kind {
            GROUPS => self.groups = content.list()?.numbers()?,
            POINT_FORMATS => self.point_formats = content.short_list()?.0.to_vec(),
            SIGNATURES => self.signatures = content.list()?.numbers()?,
            VERSIONS => self.versions = content.short_list()?.numbers()?,
            PROTOCOLS => self.protocol = Some(content.list()?.short_list()?.0.to_vec()),
            _ => {}
        }
        Some(())
    }

    /// JA3: MD5 of what the client offers, in its order.
    pub(crate) fn ja3(&self) -> String {
        hex(&Md5::digest(self.ja3_text()))
    }

    fn ja3_text(&self) -> String {
        let (ciphers, extensions) = (joined(&self.ciphers, "-"), joined(&self.extensions, "-"));
        let (groups, formats) = (joined(&self.groups, "-"), joined(&self.point_formats, "-"));
        format!("{},{ciphers},{extensions},{groups},{formats}", self.version)
    }

    /// JA4: what can be read of it, then hashes of what the client offers, sorted.
    pub(crate) fn ja4(&self) -> String {
        let version = match self.versions.iter().max().unwrap_or(&self.version) {
            0x0304 => "13",
            0x0303 => "12",
            0x0302 => "11",
            0x0301 => "10",
            0x0300 => "s3",
            _ => "00",
        };
        let name = if self.extensions.contains(&SERVER_NAME) { 'd' } else { 'i' };
        let (ciphers, extensions) = (self.ciphers.len().min(99), self.extensions.len().min(99));
        let protocol = self.ja4_protocol();
        let (suites, rest) = (first_half(&sorted(&self.ciphers, &[])), first_half(&self.ja4_extensions()));
        format!("t{version}{name}{ciphers:02}{extensions:02}{protocol}_{suites}_{rest}")
    }

    /// First and last letter of the protocol the client likes best.
    fn ja4_protocol(&self) -> String {
        let Some((first, last)) = self.protocol.as_ref().and_then(|name| Some((*name.first()?, *name.last()?))) else {
            return "00".to_owned();
        };
        if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() {
            return [first, last].map(char::from).iter().collect();
        }
        format!("{:x}{:x}", first >> 4, last & 0xf)
    }

    fn ja4_extensions(&self) -> String {
        let extensions = sorted(&self.extensions, &[SERVER_NAME, PROTOCOLS]);
        if self.signatures.is_empty() {
            return extensions;
        }
        format!("{extensions}_{}", hexadecimal(&self.signatures))
    }
}

/// What the records at the beginning of a connection carry, without the header of the message.
fn handshake(records: &[u8]) -> Option<Vec<u8>> {
    let mut records = Bytes(records);
    let mut message = Vec::new();
    loop {
        if records.take(1)?.0 != [HANDSHAKE] {
            return None;
        }
        records.u16()?;
        message.extend_from_slice(records.list()?.0);
        if let [kind, a, b, c, rest @ ..] = &message[..] {
            let length = usize::try_from(u32::from_be_bytes([0, *a, *b, *c])).ok()?;
            if *kind != CLIENT_HELLO {
                return None;
            }
            if rest.len() >= length {
                return Some(rest[..length].to_vec());
            }
        }
    }
}

/// Bytes still to be read.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<Bytes<'a>> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(Bytes(taken))
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2)?.0.try_into().ok().map(u16::from_be_bytes)
    }

    /// Bytes with their count in two bytes before them.
    fn list(&mut self) -> Option<Bytes<'a>> {
        let count = self.u16()?;
        self.take(count.into())
    }

    /// Bytes with their count in one byte before them.
    fn short_list(&mut self) -> Option<Bytes<'a>> {
        let count = *self.take(1)?.0.first()?;
        self.take(count.into())
    }

    fn numbers(mut self) -> Option<Vec<u16>> {
        let mut numbers = Vec::with_capacity(self.0.len() / 2);
        while !self.0.is_empty() {
            numbers.push(self.u16()?);
        }
        numbers.retain(|number| !is_made_up(*number));
        Some(numbers)
    }
}

/// RFC 8701: values that stand for nothing.
fn is_made_up(number: u16) -> bool {
    let [high, low] = number.to_be_bytes();
    high == low && low & 0xf == 0xa
}

fn joined<T: Display>(numbers: &[T], separator: &str) -> String {
    numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(separator)
}

fn sorted(numbers: &[u16], without: &[u16]) -> String {
    let mut numbers: Vec<u16> = numbers.iter().copied().filter(|number| !without.contains(number)).collect();
    numbers.sort_unstable();
    hexadecimal(&numbers)
}

fn hexadecimal<T: LowerHex>(numbers: &[T]) -> String {
    numbers.iter().map(|number| format!("{number:04x}")).collect::<Vec<_>>().join(",")
}

/// Twelve digits of the hash.
fn first_half(text: &str) -> String {
    if text.is_empty() {
        return "0".repeat(12);
    }
    hex(&Sha256::digest(text)[..6])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const RANDOM_BYTES: usize = 32;
/// Extensions (IANA: "TLS ExtensionType Values").
const SERVER_NAME: u16 = 0;
const GROUPS: u16 = 10;
const POINT_FORMATS: u16 = 11;
const SIGNATURES: u16 = 13;
const PROTOCOLS: u16 = 16;
const VERSIONS: u16 = 43;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The example of JA4's description.
    fn browser() -> ClientHello {
        ClientHello {
            version: 0x0303,
            ciphers: vec![
                0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c, 0x009d,
                0x002f, 0x0035,
            ],
            extensions: vec![
                0x001b, 0x0000, 0x0033, 0x0010, 0x4469, 0x0017, 0x002d, 0x000d, 0x0005, 0x0023, 0x0012, 0x002b, 0xff01,
                0x000b, 0x000a, 0x0015,
            ],
            groups: vec![29, 23, 24],
            point_formats: vec![0],
            signatures: vec![0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601],
            versions: vec![0x0304, 0x0303],
            protocol: Some(b"h2".to_vec()),
        }
    }

    fn with_count(count_bytes: usize, bytes: &[u8]) -> Vec<u8> {
        let count = u32::try_from(bytes.len()).unwrap().to_be_bytes();
        [&count[4 - count_bytes..], bytes].concat()
    }

    fn numbers(numbers: &[u16]) -> Vec<u8> {
        numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
    }

    /// As a client writes it, with made-up values among the others, in records of that size.
    fn written(hello: &ClientHello, record_bytes: usize) -> Vec<u8> {
        let mut extensions = [&0x0a0a_u16.to_be_bytes()[..], &with_count(2, b"")].concat();
        for kind in &hello.extensions {
            let content = match *kind {
                GROUPS => with_count(2, &numbers(&[&[0x2a2a][..], &hello.groups].concat())),
                POINT_FORMATS => with_count(1, &hello.point_formats),
                SIGNATURES => with_count(2, &numbers(&hello.signatures)),
                VERSIONS => with_count(1, &numbers(&[&[0xfafa][..], &hello.versions].concat())),
                PROTOCOLS => with_count(2, &with_count(1, hello.protocol.as_ref().unwrap())),
                _ => b"x".to_vec(),
            };
            extensions.extend(kind.to_be_bytes());
            extensions.extend(with_count(2, &content));
        }
        let message = [
            &hello.version.to_be_bytes()[..],
            &[7; RANDOM_BYTES],
            &with_count(1, &[9; 32]),
            &with_count(2, &numbers(&[&[0x1a1a][..], &hello.ciphers].concat())),
            &with_count(1, &[0]),
            &with_count(2, &extensions),
        ]
        .concat();
        let message = [&[CLIENT_HELLO][..], &with_count(3, &message)].concat();
        message.chunks(record_bytes).flat_map(|part| [&[HANDSHAKE, 3, 1][..], &with_count(2, part)].concat()).collect()
    }

    #[test]
    fn a_hello_is_read_from_one_record_or_several() {
        for record_bytes in [16_384, 100] {
            assert_eq!(ClientHello::parse(&written(&browser(), record_bytes)), Some(browser()), "{record_bytes}");
        }
    }

    #[test]
    fn ja4_is_what_its_description_says() {
        assert_eq!(browser().ja4(), "t13d1516h2_8daaf6152771_e5627efa2ab1");
        let bare = ClientHello { version: 0x0301, ..ClientHello::default() };
        assert_eq!(bare.ja4(), "t10i000000_000000000000_000000000000");
    }

    #[test]
    fn ja3_is_what_its_description_says() {
        let hello = ClientHello {
            version: 769,
            ciphers: vec![47, 53, 5, 10, 49161, 49162, 49171, 49172, 50, 56, 19, 4],
            extensions: vec![0, 10, 11],
            groups: vec![23, 24, 25],
            point_formats: vec![0],
            ..ClientHello::default()
        };
        assert_eq!(hello.ja3(), "ada70206e40642a3e4461f35503241d5");
        let bare = ClientHello { version: 769, ciphers: vec![4, 5], ..ClientHello::default() };
        assert_eq!(bare.ja3_text(), "769,4-5,,,");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0_usize..600, at in 0_usize..600) {
            let _ = ClientHello::parse(&bytes);
            let mut hello = written(&browser(), 150);
            hello.truncate(cut.max(1));
            let at = at % hello.len();
            hello[at] = bytes.pop().unwrap_or(0);
            if let Some(hello) = ClientHello::parse(&hello) {
                prop_assert!(hello.ja3().len() == 32 && !hello.ja4().is_empty());
            }
        }
    }
}

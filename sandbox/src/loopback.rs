//! The loopback interface of a network namespace of one's own, which is down in
//! a new one (rtnetlink(7)).

use nix::sys::socket::{AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket};
use std::io;
use std::os::fd::AsRawFd;

/// Takes it up: nothing else is reached from there.
pub(crate) fn take_up() -> io::Result<()> {
    let link = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)?;
    sendto(link.as_raw_fd(), &request(), &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
    let mut answer = [0; 256];
    let length = recv(link.as_raw_fd(), &mut answer, MsgFlags::empty())?;
    let code = answer[..length].get(HEADER_BYTES..HEADER_BYTES + 4).and_then(|code| <[u8; 4]>::try_from(code).ok());
    match code.map(i32::from_ne_bytes) {
        Some(0) => Ok(()),
        Some(code) => Err(io::Error::from_raw_os_error(-code)),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// `struct nlmsghdr`, `struct ifinfomsg`: the first interface shall be up, and the answer is asked for.
fn request() -> [u8; HEADER_BYTES + 16] {
    let mut bytes = [0; HEADER_BYTES + 16];
    let length = u32::try_from(bytes.len()).expect("a short message").to_ne_bytes();
    bytes[..4].copy_from_slice(&length);
    bytes[4..6].copy_from_slice(&libc::RTM_NEWLINK.to_ne_bytes());
    let flags = u16::try_from(libc::NLM_F_REQUEST | libc::NLM_F_ACK).expect("small flags");
    bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
    bytes[20..24].copy_from_slice(&FIRST_INTERFACE.to_ne_bytes());
    let up = libc::IFF_UP.to_ne_bytes();
    bytes[24..28].copy_from_slice(&up);
    bytes[28..32].copy_from_slice(&up);
    bytes
}

const HEADER_BYTES: usize = 16;
/// In every network namespace.
const FIRST_INTERFACE: i32 = 1;

//! `selvedge certs init`: a local certificate authority and one certificate.

use crate::args::CertsInitArgs;
use crate::exit::Exit;
use anyhow::anyhow;

pub(crate) fn init(args: &CertsInitArgs) -> anyhow::Result<Exit> {
    let made = certs::init_local_ca(&args.dir, &args.names);
    let made = made.map_err(|error| anyhow!("cannot make certificates: {error}"))?;
    let authority = if made.created { "new" } else { "existing" };
    println!("{}: signed by the {authority} authority for {}", made.certificate.display(), args.names.join(", "));
    println!("in [server], set https = [\"127.0.0.1:8443\"] and certificates to this directory");
    print!("{}", made.trust_instructions());
    Ok(Exit::Done)
}

//! Signed URLs and cookies, with signatures made by OpenSSL (`signed/vectors.json`).

use selvedge_tests::{Answer, Ask, Edge, Origin, site};
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Vectors {
    keys: BTreeMap<String, String>,
    canned: Vec<Canned>,
    expired: Canned,
    custom: Vec<Custom>,
}

#[derive(Deserialize)]
struct Canned {
    key: String,
    hash: String,
    url: String,
    expires: u64,
    signature: String,
}

impl Canned {
    /// The parameters, after a query string.
    fn parameters(&self) -> String {
        let Canned { key, hash, expires, signature, .. } = self;
        format!("&Expires={expires}&Signature={signature}&Key-Pair-Id={key}&Hash-Algorithm={hash}")
    }
}

#[derive(Deserialize)]
struct Custom {
    name: String,
    policy: String,
    signature: String,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("../signed/vectors.json")).expect("the vectors are in order")
}

async fn start(vectors: &Vectors) -> (Origin, Edge) {
    let origin = Origin::start().await;
    for path in ["/private/a", "/private/b"] {
        origin.answer(path, Answer::fresh_for(600, "secret"));
    }
    let config = format!(
        "[key_groups.readers.keys]\nRSA = \"rsa.pem\"\nEC = \"ec.pem\"\n{}",
        site(&origin.url(), "trusted_key_groups = [\"readers\"]\ncache = { query = \"all\" }")
    );
    let builder = Edge::builder().file("rsa.pem", &vectors.keys["RSA"]).file("ec.pem", &vectors.keys["EC"]);
    (origin, builder.config(&config).start().await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canned_policy_opens_its_url_and_nothing_else() {
    let vectors = vectors();
    let (origin, edge) = start(&vectors).await;
    assert_eq!(edge.get("/private/a?x=1").await.status, 403);
    for (nth, canned) in vectors.canned.iter().enumerate() {
        let reply = edge.get(&format!("{}{}", canned.url, canned.parameters())).await;
        let (key, hash) = (&canned.key, &canned.hash);
        assert_eq!((reply.status, reply.text().as_str()), (200, "secret"), "{key} {hash}");
        // What signs is no part of the key and never reaches the origin.
        assert_eq!(reply.cache(), if nth == 0 { "Miss" } else { "Hit" });
        for target in [
            format!("/private/a?x=2{}", canned.parameters()),
            format!("/private/b?x=1{}", canned.parameters()),
            format!("{}{}", canned.url, canned.parameters().replace("41024448", "41024449")),
            format!("{}{}", canned.url, canned.parameters().replace("Key-Pair-Id=", "Key-Pair-Id=X")),
            format!("{}{}", canned.url, canned.parameters().replace("Signature=", "Signature=A")),
            format!("{}&Key-Pair-Id=RSA", canned.url),
        ] {
            assert_eq!(edge.get(&target).await.status, 403, "{target}");
        }
    }
    assert_eq!((origin.requests().len(), origin.last().target.as_str()), (1, "/private/a?x=1"));
    let expired = &vectors.expired;
    assert_eq!(edge.get(&format!("{}{}", expired.url, expired.parameters())).await.status, 403);
    let other_host = Ask::get(&format!("{}{}", vectors.canned[0].url, vectors.canned[0].parameters()));
    assert_eq!(edge.ask(other_host.host("other.example.net")).await.status, 403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_custom_policy_opens_what_its_conditions_say() {
    let vectors = vectors();
    let (_origin, edge) = start(&vectors).await;
    for Custom { name, policy, signature } in &vectors.custom {
        let status = if matches!(name.as_str(), "below" | "here") { 200 } else { 403 };
        let target = format!("/private/b?Policy={policy}&Signature={signature}&Key-Pair-Id=RSA");
        assert_eq!(edge.get(&target).await.status, status, "{name} in the url");
        let cookies =
            format!("a=b; CloudFront-Policy={policy}; CloudFront-Signature={signature}; CloudFront-Key-Pair-Id=RSA");
        assert_eq!(
            edge.ask(Ask::get("/private/b").header("cookie", &cookies)).await.status,
            status,
            "{name} in cookies"
        );
    }
}

//! What depends on where viewers are, with a database that has loopback addresses
//! in Malmö (`geo/make.py`), and the other headers the edge makes of a viewer.

use selvedge_tests::{Answer, Ask, Edge, Origin, site};

fn database() -> String {
    format!("geo_database = \"{}/geo/places.mmdb\"", env!("CARGO_MANIFEST_DIR"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_distribution_is_closed_to_countries_it_is_not_for() {
    let origin = Origin::start().await;
    origin.answer("/a", Answer::fresh_for(600, "x"));
    for (restriction, status) in [
        ("allow = [\"SE\", \"NO\"]", 200),
        ("allow = [\"NO\"]", 403),
        ("block = [\"SE\"]", 403),
        ("block = [\"NO\"]", 200),
    ] {
        let config = site(&origin.url(), "");
        let config = config.replace("domains =", &format!("geo_restriction = {{ {restriction} }}\ndomains ="));
        let edge = Edge::builder().server(&database()).config(&config).start().await;
        assert_eq!(edge.get("/a").await.status, status, "{restriction}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_origin_hears_of_the_viewer_from_the_edge_alone() {
    let origin = Origin::start().await;
    origin.answer("/a", Answer::fresh_for(600, "x").header("cache-control", "no-store"));
    let names = [
        "City",
        "Country",
        "Country-Name",
        "Country-Region",
        "Country-Region-Name",
        "Latitude",
        "Longitude",
        "Metro-Code",
        "Postal-Code",
        "Time-Zone",
        "Http-Version",
    ];
    let listed: Vec<String> = names.iter().map(|name| format!("\"CloudFront-Viewer-{name}\"")).collect();
    let behavior = format!("forward = {{ headers = \"all\", edge_headers = [{}] }}", listed.join(", "));
    let edge = Edge::builder().server(&database()).config(&site(&origin.url(), &behavior)).start().await;
    let ask = Ask::get("/a").header("cloudfront-viewer-country", "XX").header("cloudfront-viewer-metro-code", "1");
    assert_eq!(edge.ask(ask).await.status, 200);
    let seen = origin.last();
    for (name, value) in [
        ("city", "Malm%C3%B6"),
        ("country", "SE"),
        ("country-name", "Sweden"),
        ("country-region", "M"),
        ("country-region-name", "Sk%C3%A5ne County"),
        ("latitude", "55.60500"),
        ("longitude", "13.00380"),
        ("metro-code", ""),
        ("postal-code", "211 20"),
        ("time-zone", "Europe/Stockholm"),
        ("http-version", "1.1"),
    ] {
        assert_eq!(seen.header(&format!("cloudfront-viewer-{name}")), value, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_made_header_is_in_the_key_and_viewer_hooks_do_not_see_it() {
    let origin = Origin::start().await;
    origin.answer("/a", Answer::fresh_for(600, "x"));
    let code = "export const handler = async event => {\n\
                const { request, response } = event.Records[0].cf;\n\
                response.headers['x-saw'] = [{ value: String(Object.keys(request.headers).filter(n => n.startsWith('cloudfront'))) }];\n\
                return response;\n};\n";
    let behavior = "cache = { headers = [\"CloudFront-Is-Mobile-Viewer\"] }\nhooks = { viewer-response = \"look\" }";
    let edge = Edge::builder().function("look", code).config(&site(&origin.url(), behavior)).start().await;
    let phone = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Mobile/15E148";
    for (agent, spoofed, cache) in
        [(phone, "false", "Miss"), ("curl/8", "true", "Miss"), (phone, "x", "Hit"), ("curl/7", "x", "Hit")]
    {
        let ask = Ask::get("/a").header("user-agent", agent).header("cloudfront-is-mobile-viewer", spoofed);
        let reply = edge.ask(ask).await;
        assert_eq!((reply.cache(), reply.header("x-saw")), (cache, ""), "{agent}");
    }
    let told: Vec<String> =
        origin.requests().iter().map(|request| request.header("cloudfront-is-mobile-viewer").to_owned()).collect();
    assert_eq!(told, ["true", "false"]);
}

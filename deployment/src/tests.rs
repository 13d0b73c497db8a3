//! Whole files, good and bad, through [`load`](super::load).

mod access_control;
mod continuous_deployment;
mod control;
mod policies;
mod strict_aws;

use super::*;
use functions::{Scaling, SnapStart};
use std::fs;
use std::time::Duration;
use tempfile::TempDir;

/// A directory with a site, one function and a configuration file.
struct Project {
    root: TempDir,
}

impl Project {
    fn new() -> Project {
        let root = tempfile::tempdir().unwrap();
        for directory in ["site", "certs", "functions/echo"] {
            fs::create_dir_all(root.path().join(directory)).unwrap();
        }
        fs::write(root.path().join("functions/echo/index.mjs"), "export const handler = async (e) => e;\n").unwrap();
        let key = "[key]\naws_access_key_id = AKID\naws_secret_access_key = secret\n";
        fs::write(root.path().join("key"), key).unwrap();
        Project { root }
    }

    fn load(&self, text: &str) -> Result<Config, Problems> {
        let file = self.root.path().join("selvedge.toml");
        fs::write(&file, text).unwrap();
        load(&file)
    }

    /// `line: message` of every problem.
    fn problems(&self, text: &str) -> Vec<String> {
        let problems = self.load(text).unwrap_err().0;
        problems.into_iter().map(|p| format!("{}: {}", p.line.unwrap(), p.message)).collect()
    }
}

const FUNCTION: &str = "[functions.echo]\ncode = 'functions/echo'\n";
const SITE: &str = "[distributions.site]\ndomains = ['*']\n[distributions.site.origins.files]\ndirectory = 'site'\n";
const DEFAULT: &str = "[distributions.site.default_behavior]\norigin = 'files'\n";

#[track_caller]
fn assert_problem(text: &str, line: usize, part: &str) {
    let problems = Project::new().problems(text);
    assert_eq!(problems.len(), 1, "{problems:#?}");
    assert!(problems[0].starts_with(&format!("{line}: ")), "{problems:#?}");
    assert!(problems[0].contains(part), "{problems:#?}");
}

#[test]
fn an_empty_file_is_a_server_with_defaults() {
    let config = Project::new().load("").unwrap();
    assert_eq!(config.server.http, ["127.0.0.1:8080".parse().unwrap()]);
    assert_eq!(config.server.connections_per_address, 256);
    assert!(config.server.data_dir.is_absolute() && config.server.data_dir.ends_with("data"));
    assert!(config.deployment.distributions.is_empty());
}

#[test]
fn a_full_file_becomes_the_model() {
    let project = Project::new();
    let text = r#"
[server]
http = ["127.0.0.1:8080"]
https = ["127.0.0.1:8443"]
certificates = "certs"
cache_size = "1 GB"
header_timeout = "5s"
[functions.echo]
code = "functions/echo"
memory_mb = 256
timeout = "5s"
environment = { GREETING = "hi" }
environments_max = 10
environments_burst = 20
environment_idle_timeout = "0s"
template_idle_timeout = "1m"
provisioned = 2
idempotent = true
[distributions.site]
domains = ["Localhost", "127.0.0.1"]
default_root_object = "index.html"
[distributions.site.origins.files]
directory = "site"
[distributions.site.origins.api]
url = "https://Example.com:8000/prefix"
headers = { x-origin-secret = "s" }
[[distributions.site.behaviors]]
path = "/api/*"
origin = "api"
allowed_methods = "all"
viewer_protocol = "redirect-to-https"
cache = "CachingDisabled"
forward = "AllViewer"
hooks.viewer-request = { function = "echo", include_body = true }
[[distributions.site.behaviors]]
path = "*.json"
origin = "files"
cache = { max_ttl = "1m", headers = ["Accept-Language"], cookies = ["ab"], query = { except = ["utm"] } }
forward = { headers = ["user-agent"], query = "all" }
[distributions.site.default_behavior]
origin = "files"
hooks.viewer-response = "echo"
[[distributions.site.error_pages]]
error_code = 404
path = "/404.html"
response_code = 404
"#;
    let config = project.load(text).unwrap();
    assert_eq!(config.server.cache_bytes, 1 << 30);
    let function = &config.deployment.functions["echo"];
    assert_eq!((function.memory_mb, function.snap_start, function.idempotent), (256, SnapStart::WhenPossible, true));
    let expected = Scaling {
        environments_max: 10,
        burst: 20,
        provisioned: 2,
        idle_max: Duration::ZERO,
        template_idle_max: Duration::from_secs(60),
    };
    assert_eq!(function.scaling, expected);
    let site = config.deployment.distribution("LOCALHOST:8080").unwrap();
    assert_eq!(site.domains, ["localhost", "127.0.0.1"]);
    let api = site.behavior("/x/..//%61pi/y");
    assert_eq!(api.pattern.as_str(), "/api/*");
    let OriginKind::Http { tls, host, port, path } = &api.origin.kind else { panic!("a url was given") };
    assert_eq!((*tls, host.as_str(), *port, path.as_str()), (true, "example.com", 8000, "/prefix"));
    assert!(api.hooks.viewer_request.as_ref().unwrap().include_body);
    assert_eq!(api.forward.headers, HeaderSelection::AllViewer);
    let json = site.behavior("/data.json");
    assert_eq!(json.cache.default_ttl, json.cache.max_ttl);
    assert_eq!(json.cache.query, Selection::AllExcept(vec!["utm".into()]));
    assert_eq!(site.behavior("/").cache.name, "CachingOptimized");
    assert_eq!(site.error_pages[0].page, Some(("/404.html".into(), 404)));
}

#[test]
fn an_origin_is_a_directory_a_socket_or_a_url() {
    let with = |lines: &str| format!("{}{DEFAULT}", SITE.replace("directory = 'site'", lines));
    let site = Project::new().load(&with("socket = '/run/app.sock'\nread_timeout = '600s'")).unwrap();
    let origin = &site.deployment.distributions[0].origins["files"];
    assert_eq!((&origin.kind, origin.read_timeout.as_secs()), (&OriginKind::Socket("/run/app.sock".into()), 600));
    assert_problem(&with("url = 'http://o'\nread_timeout = '600s'"), 5, "it must be 1s to 2m");
    assert_problem(&with("url = 'http://o'\nsocket = 's'"), 3, "it has more than one");
    assert_problem(&with("connection_attempts = 1"), 3, "it has none of them");
    assert_problem(&with(&format!("socket = '/{}'", "s".repeat(107))), 4, "at most 107 are possible");
}

#[test]
fn all_problems_are_reported_at_once_in_the_order_of_lines() {
    let text = format!(
        "[server]\nheader_timeout = '5'\n{FUNCTION}memory_mb = 64\n{SITE}\
         [distributions.site.default_behavior]\norigin = 'nowhere'\nhooks.origin-request = 'nobody'\n"
    );
    let problems = Project::new().problems(&text);
    let starts: Vec<&str> = problems.iter().map(|p| p.split(':').next().unwrap()).collect();
    assert_eq!(starts, ["2", "5", "11", "12"], "{problems:#?}");
}

#[test]
fn display_is_one_line_per_problem_with_file_and_line() {
    let project = Project::new();
    let problems = project.load("[server]\nhttp = ['here']\nidle_timeout = '9 years'\n").unwrap_err().to_string();
    let file = project.root.path().join("selvedge.toml");
    let lines: Vec<&str> = problems.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].starts_with(&format!("{}:2: http address", file.display())), "{problems}");
}

#[test]
fn unknown_keys_and_wrong_types_have_a_line() {
    assert_problem("[server]\nhttp = []\nhtps = []\n", 3, "unknown field `htps`");
    assert_problem("[functions.echo]\ncode = 7\n", 2, "expected a string");
    assert_problem("[server\n", 1, "");
    let hook = format!("{FUNCTION}{SITE}{DEFAULT}hooks.viewer-request = {{ function = 'echo', body = true }}\n");
    assert_problem(&hook, 9, "unknown field `body`");
}

#[test]
fn a_missing_file_is_a_problem_without_line() {
    let problems = load(Path::new("/nowhere/selvedge.toml")).unwrap_err();
    assert_eq!(problems.0[0].line, None);
    assert!(problems.to_string().contains("/nowhere/selvedge.toml: cannot be read"));
}

#[test]
fn function_limits_are_checked() {
    assert_problem(&format!("{FUNCTION}memory_mb = 127\n"), 3, "memory_mb is 127, it must be 128 to 10240");
    for (mb, is_taken) in [(511, false), (512, true), (513, true), (10_240, true), (10_241, false)] {
        let text = format!("{FUNCTION}tmp_mb = {mb}\n");
        match Project::new().load(&text) {
            Ok(_) => assert!(is_taken, "{mb}"),
            Err(_) => assert_problem(&text, 3, &format!("tmp_mb is {mb}, it must be 512 to 10240")),
        }
    }
    assert_problem(
        &format!("{FUNCTION}timeout = '31s'\n"),
        3,
        "timeout is 31s, a function at the edge has at most 30s",
    );
    assert_problem(&format!("{FUNCTION}timeout = '0s'\n"), 3, "1s to 30s");
    assert_problem(&format!("{FUNCTION}runtime = 'nodejs12.x'\n"), 3, "nodejs22.x, nodejs24.x");
    assert_problem(&format!("{FUNCTION}handler = 'index'\n"), 3, "handler");
    assert_problem(&format!("{FUNCTION}environment = {{ AWS_REGION = 'x' }}\n"), 3, "AWS_REGION is reserved");
    assert_problem(&format!("{FUNCTION}environment = {{ LAMBDA_X = 'x' }}\n"), 3, "reserved");
    let large = "v".repeat(4096);
    assert_problem(&format!("{FUNCTION}environment = {{ A = '{large}' }}\n"), 1, "4097 bytes, at most 4096");
    assert_problem("[functions.'a b']\ncode = 'functions/echo'\n", 1, "function name");
    assert_problem("[functions.a]\n", 1, "no code");
    assert_problem("[functions.a]\ncode = 'functions/none'\n", 2, "functions/none");
}

#[test]
fn what_a_function_may_connect_to_is_checked() {
    let network = |entry: &str| format!("{FUNCTION}network = {{ allow = ['10.0.0.0/8', '{entry}'] }}\n");
    assert!(Project::new().load(&network("127.0.0.1:9000")).is_ok());
    assert_problem(&network("localhost:9000"), 3, "network: \"localhost:9000\" must be an address or a network");
    assert_problem(&network("10.1.2.3/8"), 3, "10.0.0.0/8 is meant");
    assert_problem(&network("192.0.2.1:25"), 3, "port 25 is always blocked");
    assert_problem(&format!("{FUNCTION}network = {{ deny = [] }}\n"), 3, "deny");
}

#[test]
fn limits_of_environments_are_checked() {
    assert_problem(&format!("{FUNCTION}environments_max = 0\n"), 3, "environments_max is 0, it must be 1 to 100000");
    assert_problem(&format!("{FUNCTION}environments_burst = 0\n"), 3, "environments_burst is 0");
    assert_problem(&format!("{FUNCTION}environment_idle_timeout = '2d'\n"), 3, "it must be 0s to 1d");
    assert_problem(&format!("{FUNCTION}template_idle_timeout = '0s'\n"), 3, "it must be 1s to 30d");
    assert_problem("[server]\nenvironments_max = 0\n", 2, "environments_max is 0");
    assert_problem("[server]\ncpu = 'half'\n", 2, "cpu is \"half\"");
    let more = format!("{FUNCTION}environments_max = 2\nprovisioned = 3\n");
    assert_problem(&more, 4, "provisioned is 3, more than environments_max (2)");
    let full = format!("{FUNCTION}provisioned = 6\n[server]\nenvironments_max = 5\n");
    assert_problem(&full, 3, "provisioned is 6 in all functions together, more than environments_max of [server] (5)");
}

#[test]
fn snapshot_start_and_provisioned_environments_exclude_each_other() {
    let both = format!("{FUNCTION}snap_start = 'on'\nprovisioned = 1\n");
    assert_problem(&both, 4, "snap_start = \"on\" and provisioned exclude each other");
    assert!(Project::new().load(&format!("{FUNCTION}snap_start = 'on'\nprovisioned = 0\n")).is_ok());
    assert!(Project::new().load(&format!("{FUNCTION}snap_start = 'off'\nprovisioned = 1\n")).is_ok());
    assert_problem(&format!("{FUNCTION}snap_start = 'maybe'\n"), 3, "snap_start is \"maybe\"");
    let unused = format!("{FUNCTION}snap_start = 'off'\ntemplate_idle_timeout = '1m'\n");
    assert_problem(&unused, 4, "template_idle_timeout has no effect with snap_start = \"off\"");
}

#[test]
fn a_package_without_its_handler_s_module_is_a_problem_of_the_function() {
    assert_problem(&format!("\n{FUNCTION}handler = 'other.handler'\n"), 2, "function echo");
}

#[test]
fn references_must_exist() {
    assert_problem(&format!("{SITE}{DEFAULT}hooks.viewer-request = 'ab'\n"), 7, "function \"ab\"");
    assert_problem(&format!("{SITE}[distributions.site.default_behavior]\norigin = 'x'\n"), 6, "origin \"x\"");
    assert_problem(SITE, 1, "no default_behavior");
}

#[test]
fn contradictions_are_errors() {
    let response_body = "hooks.origin-response = { function = 'echo', include_body = true }";
    assert_problem(&format!("{FUNCTION}{SITE}{DEFAULT}{response_body}\n"), 9, "include_body on origin-response");
    assert_problem(
        &format!("{SITE}{DEFAULT}cache = {{ min_ttl = '2h', max_ttl = '1h' }}\n"),
        7,
        "min_ttl is 2h, more than max_ttl",
    );
    assert_problem(&format!("{SITE}{DEFAULT}viewer_protocol = 'redirect-to-https'\n"), 7, "needs an https listener");
    assert_problem("[server]\nhttps = ['127.0.0.1:1']\n", 2, "need certificates");
    assert_problem("[server]\nhttps = ['127.0.0.1:1']\ncertificates = 'none'\n", 3, "selvedge certs init");
    assert_problem("[server]\nhttp = ['127.0.0.1:1', '127.0.0.1:1']\n", 2, "listed twice");
    assert_problem(&format!("{SITE}{DEFAULT}cache = {{ max_ttl = '0s', query = 'all' }}\n"), 7, "there is no key");
    let other = SITE.replace("site]", "zoo]").replace("site.", "zoo.");
    let both = format!("{SITE}{DEFAULT}{other}{}", DEFAULT.replace("site", "zoo"));
    assert_problem(&both, 8, "already a domain of distribution site");
    assert_problem(&format!("{SITE}url = 'http://a'\n{DEFAULT}"), 3, "it has more than one");
}

#[test]
fn a_disk_for_the_cache_is_whole_or_an_error() {
    let project = Project::new();
    let load = |lines: &str| project.load(&format!("[server]\n{lines}\n")).unwrap().server.cache_disk;
    assert_eq!(load(""), None);
    let disk = load("cache_disk = { directory = 'cache', size = '10 GB' }").unwrap();
    assert!(disk.directory.is_absolute() && disk.directory.ends_with("cache"), "{}", disk.directory.display());
    assert_eq!((disk.bytes, disk.object_bytes_max), (10 << 30, 10 << 28));
    let disk = load("cache_disk = { directory = 'cache', size = '1 GB', object_size_max = '1 GB' }").unwrap();
    assert_eq!(disk.object_bytes_max, 1 << 30);
    for (lines, line, message) in [
        ("cache_disk = { size = '1 GB' }", 2, "needs directory"),
        ("cache_disk = { directory = 'cache' }", 2, "needs size"),
        ("cache_disk = { directory = 'cache', size = '1 GB', max = '1 GB' }", 2, "unknown field `max`"),
        ("cache_disk = { directory = 'cache', size = '1 KB' }", 2, "cache_disk.size is 1024 bytes"),
        (
            "cache_size = '1 GB'\ncache_disk = { directory = 'cache', size = '32 MB' }",
            3,
            "cache_object_size_max is 67108864",
        ),
        (
            "cache_disk = { directory = 'cache', size = '1 GB', object_size_max = '2 GB' }",
            2,
            "larger than cache_disk.size",
        ),
        (
            "cache_disk = { directory = 'cache', size = '1 GB', object_size_max = '1 MB' }",
            2,
            "smaller than what memory takes",
        ),
    ] {
        assert_problem(&format!("[server]\n{lines}\n"), line, message);
    }
}

#[test]
fn duplicate_and_too_many_behaviors_are_errors() {
    let behavior = |path: &str| format!("[[distributions.site.behaviors]]\npath = '{path}'\norigin = 'files'\n");
    assert_problem(&format!("{SITE}{DEFAULT}{}{}", behavior("/a"), behavior("a")), 11, "already");
    assert_problem(&format!("{SITE}{DEFAULT}{}", behavior("/*")), 8, "default_behavior's");
    let many: String = (0..76).map(|index| behavior(&format!("/{index}"))).collect();
    assert_problem(&format!("{SITE}{DEFAULT}{many}"), 1, "76 behaviors, at most 75");
}

#[test]
fn origin_rules_are_checked() {
    let api = |lines: &str| format!("{SITE}{DEFAULT}[distributions.site.origins.api]\n{lines}\n");
    for header in ["Host", "x-amz-meta", "X-Edge-Foo", "if-none-match", "via"] {
        assert_problem(&api(&format!("url = 'http://a'\nheaders.{header} = 'v'")), 9, "cannot be a custom header");
    }
    for url in ["ftp://a", "a", "http://a/b/", "http://u:p@a", "http://a/?x=1", "http://a:99999"] {
        assert_problem(&api(&format!("url = '{url}'")), 8, "origin url");
    }
    assert_problem(&api("url = 'http://a'\nconnect_timeout = '11s'"), 9, "1s to 10s");
    assert_problem(&api("url = 'http://a'\nread_timeout = '3m'"), 9, "1s to 2m");
    assert_problem(&api("url = 'http://a'\nconnection_attempts = 4"), 9, "1 to 3");
    assert_problem(&api("directory = 'nowhere'"), 8, "nowhere");
    assert_problem(&api("directory = 'site'\nread_timeout = '3s'"), 9, "no meaning");
}

#[test]
fn the_most_specific_domain_wins() {
    let distribution = |name: &str, domain: &str| {
        let name_of = |text: &str| text.replace("site.", &format!("{name}.")).replace("site]", &format!("{name}]"));
        name_of(SITE).replace("'*'", &format!("'{domain}'")) + &name_of(DEFAULT)
    };
    let text = [("any", "*"), ("wild", "*.example.com"), ("exact", "www.example.com"), ("six", "::1")]
        .map(|(name, domain)| distribution(name, domain))
        .concat();
    let deployment = Project::new().load(&text).unwrap().deployment;
    let name = |host: &str| deployment.distribution(host).unwrap().name.as_str();
    assert_eq!(name("www.example.com:443"), "exact");
    assert_eq!(name("WWW.example.com."), "exact");
    assert_eq!(name("a.b.example.com"), "wild");
    assert_eq!(name("example.com"), "any");
    assert_eq!(name("[::1]:8080"), "six");
    let generated = deployment.distributions.iter().find(|d| d.name == "wild").unwrap().domain_name.clone();
    assert_eq!(name(&generated), "wild");
}

#[test]
fn the_digest_changes_with_the_code_and_not_with_the_server() {
    let project = Project::new();
    let before = project.load(FUNCTION).unwrap().deployment.digest;
    assert_eq!(project.load(&format!("[server]\nthreads = 3\n{FUNCTION}")).unwrap().deployment.digest, before);
    fs::write(project.root.path().join("functions/echo/index.mjs"), "export const handler = 1;\n").unwrap();
    assert_ne!(project.load(FUNCTION).unwrap().deployment.digest, before);
}

#[test]
fn the_edge_s_timeout_is_lifted_by_quotas() {
    let with = |lines: &str| format!("{FUNCTION}{lines}\n{SITE}{DEFAULT}");
    let timeout = |lines: &str| Project::new().load(&with(lines)).unwrap().deployment.functions["echo"].timeout;
    assert_eq!(timeout("timeout = '30s'").as_secs(), 30);
    assert_eq!(timeout("timeout = '15m'\nquotas = 'lambda'").as_secs(), 900);
    assert_eq!(timeout("timeout = '1s'\nquotas = 'edge'").as_secs(), 1);
    assert_problem(&with("timeout = '31s'"), 3, "at most 30s; quotas = \"lambda\" allows up to 15m");
    assert_problem(&with("timeout = '901s'\nquotas = 'lambda'"), 3, "it must be 1s to 15m");
    assert_problem(&with("timeout = '16m'"), 3, "it must be 1s to 30s");
    assert_problem(&with("quotas = 'none'"), 3, "it must be \"edge\" or \"lambda\"");
}

#[test]
fn memory_from_128_to_10240_mb_is_taken() {
    let with = |lines: &str| format!("{FUNCTION}{lines}\n{SITE}{DEFAULT}");
    for memory_mb in [128, 10_240] {
        let config = Project::new().load(&with(&format!("memory_mb = {memory_mb}"))).unwrap();
        assert_eq!(config.deployment.functions["echo"].memory_mb, memory_mb);
    }
    for memory_mb in [127, 10_241] {
        assert_problem(&with(&format!("memory_mb = {memory_mb}")), 3, "it must be 128 to 10240");
    }
}

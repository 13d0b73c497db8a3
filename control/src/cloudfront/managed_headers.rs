//! The managed response headers policies as ResponseHeadersPolicyConfig.

use deployment::{AddedHeader, Cors, ResponseHeadersPolicy};
use http::HeaderValue;
use serde_json::{Map, Value, json};

/// Every one with its id.
pub(super) fn configs() -> Vec<(&'static str, Value)> {
    let all = deployment::managed_response_headers_policies().into_iter();
    all.map(|(id, name, policy)| (id, config(name, &policy))).collect()
}

fn config(name: &str, policy: &ResponseHeadersPolicy) -> Value {
    let mut config = json!({ "Comment": "", "Name": format!("Managed-{name}") });
    if let Some(cors) = &policy.cors {
        config["CorsConfig"] = shared(cors);
    }
    let security: Map<String, Value> = policy.add.iter().filter_map(security).collect();
    if !security.is_empty() {
        config["SecurityHeadersConfig"] = security.into();
    }
    config
}

/// None of them names origins: every one may read what is shared.
fn shared(cors: &Cors) -> Value {
    let mut config = json!({
        "AccessControlAllowOrigins": items(Some(&HeaderValue::from_static("*"))),
        "AccessControlAllowHeaders": items(cors.headers.as_ref()),
        "AccessControlAllowMethods": items(Some(&cors.methods)),
        "AccessControlAllowCredentials": cors.credentials,
        "OriginOverride": cors.overrides,
    });
    if cors.expose.is_some() {
        config["AccessControlExposeHeaders"] = items(cors.expose.as_ref());
    }
    config
}

/// A security header as its member of SecurityHeadersConfig.
fn security(header: &AddedHeader) -> Option<(String, Value)> {
    let (value, overrides) = (header.value.to_str().ok()?, header.overrides);
    let (member, mut config) = match header.name.as_str() {
        "content-security-policy" => ("ContentSecurityPolicy", json!({ "ContentSecurityPolicy": value })),
        "referrer-policy" => ("ReferrerPolicy", json!({ "ReferrerPolicy": value })),
        "strict-transport-security" => {
            let seconds: i64 = directives(value).find_map(|one| one.strip_prefix("max-age="))?.parse().ok()?;
            let has = |name: &str| directives(value).any(|one| one == name);
            let (subdomains, preload) = (has("includeSubDomains"), has("preload"));
            let config =
                json!({ "AccessControlMaxAgeSec": seconds, "IncludeSubdomains": subdomains, "Preload": preload });
            ("StrictTransportSecurity", config)
        }
        "x-content-type-options" => ("ContentTypeOptions", json!({})),
        "x-frame-options" => ("FrameOptions", json!({ "FrameOption": value })),
        "x-xss-protection" => {
            let block = directives(value).any(|one| one == "mode=block");
            ("XSSProtection", json!({ "Protection": value.starts_with('1'), "ModeBlock": block }))
        }
        _ => return None,
    };
    config["Override"] = overrides.into();
    Some((member.to_owned(), config))
}

fn directives(value: &str) -> impl Iterator<Item = &str> {
    value.split(';').map(str::trim)
}

/// The names of a list as a header has it.
fn items(list: Option<&HeaderValue>) -> Value {
    let text = list.and_then(|list| list.to_str().ok()).unwrap_or_default();
    let items: Vec<&str> = text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect();
    json!({ "Quantity": items.len(), "Items": items })
}

#[cfg(test)]
mod tests {
    use super::super::policy_table;
    use super::*;
    use std::path::Path;

    fn loaded(directory: &Path, policy: toml::Value) -> ResponseHeadersPolicy {
        let mut document: toml::Table = toml::from_str(
            "[server]\nhttp = [\"127.0.0.1:8080\"]\n[distributions.d]\ndomains = [\"*\"]\n\
             [distributions.d.origins.o]\nurl = \"http://127.0.0.1:9\"\n\
             [distributions.d.default_behavior]\norigin = \"o\"\n",
        )
        .unwrap();
        document["distributions"]["d"]["default_behavior"]
            .as_table_mut()
            .unwrap()
            .insert("response_headers".into(), policy);
        let file = directory.join("selvedge.toml");
        std::fs::write(&file, document.to_string()).unwrap();
        let deployment = deployment::load(&file).unwrap().deployment;
        deployment.distributions[0].behaviors[0].response_headers.clone().unwrap()
    }

    #[test]
    fn each_says_what_it_does() {
        let directory = tempfile::tempdir().unwrap();
        let sorted = |mut policy: ResponseHeadersPolicy| {
            policy.add.sort_by(|one, other| one.name.as_str().cmp(other.name.as_str()));
            policy
        };
        let all = configs();
        assert_eq!(all.len(), 5);
        for (id, config) in all {
            let shown = policy_table::response_headers(&config).unwrap();
            let (shown, meant) = (loaded(directory.path(), shown), loaded(directory.path(), id.into()));
            assert_eq!(sorted(shown), sorted(meant), "{config}");
        }
    }
}

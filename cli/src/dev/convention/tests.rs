//! Which file is a handler, what of it runs when, and that what is made up is a configuration.

use super::*;

fn args() -> ConventionArgs {
    ConventionArgs { event: None, origin: None, variables: Vec::new(), network: Vec::new() }
}

fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let file = root.path().join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }
    root
}

fn hooks(convention: &Convention, names: &[&str]) -> Vec<(&'static str, String)> {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    convention.hooks_of(&names).into_iter().map(|export| (export.event.name(), export.name)).collect()
}

#[test]
fn a_directory_has_a_handler_by_its_name() {
    let root = project(&[("src/index.ts", ""), ("handler.mts", ""), ("other.ts", "")]);
    let convention = Convention::find(root.path(), args()).unwrap();
    assert_eq!(convention.module, "handler");
    std::fs::remove_file(root.path().join("handler.mts")).unwrap();
    assert_eq!(Convention::find(root.path(), args()).unwrap().module, "src/index");
    let none = project(&[("other.ts", "")]);
    let said = Convention::find(none.path(), args()).unwrap_err().to_string();
    assert!(said.contains("neither a selvedge.toml nor a handler"), "{said}");
}

#[test]
fn a_file_belongs_to_the_nearest_package() {
    let root = project(&[("package.json", "{}"), ("src/edge/rewrite.ts", "")]);
    let convention = Convention::find(&root.path().join("src/edge/rewrite.ts"), args()).unwrap();
    assert_eq!(convention.module, "src/edge/rewrite");
    assert_eq!(convention.package, root.path().canonicalize().unwrap());
    std::fs::write(root.path().join("src/edge/rewrite.js"), "").unwrap();
    let said = Convention::find(&root.path().join("src/edge/rewrite.ts"), args()).unwrap_err().to_string();
    assert!(said.contains("rewrite.js is what runs"), "{said}");
    std::fs::create_dir(root.path().join("src/.git")).unwrap();
    std::fs::remove_file(root.path().join("src/edge/rewrite.js")).unwrap();
    let convention = Convention::find(&root.path().join("src/edge/rewrite.ts"), args()).unwrap();
    assert_eq!(convention.module, "rewrite");
    let odd = project(&[("a.b.ts", ""), ("a.txt", "")]);
    for (file, why) in [("a.b.ts", "one dot"), ("a.txt", "is no handler")] {
        let said = Convention::find(&odd.path().join(file), args()).unwrap_err().to_string();
        assert!(said.contains(why), "{said}");
    }
}

#[test]
fn exports_are_hooks_by_their_names() {
    let root = project(&[("index.ts", "")]);
    let mut convention = Convention::find(root.path(), args()).unwrap();
    assert_eq!(hooks(&convention, &["handler"]), [("viewer-request", "handler".to_owned())]);
    let both = ["handler", "viewerResponse", "originRequest", "unrelated"];
    let expected = [("origin-request", "originRequest".to_owned()), ("viewer-response", "viewerResponse".to_owned())];
    assert_eq!(hooks(&convention, &both), expected);
    convention.args.event = Some(HookEvent::OriginResponse);
    assert_eq!(hooks(&convention, &["handler"]), [("origin-response", "handler".to_owned())]);
    assert_eq!(hooks(&convention, &both).len(), 3);
    assert!(hooks(&convention, &["unrelated"]).is_empty());
}

#[test]
fn python_has_names_of_its_own() {
    let text = "import os\ndef viewer_request(event, context):\n    def handler(): pass\nasync def helper(): pass\n";
    let root = project(&[("index.py", text)]);
    let convention = Convention::find(root.path(), args()).unwrap();
    let found = convention.hooks(None).unwrap();
    assert_eq!(found.exports, [Export { event: HookEvent::ViewerRequest, name: "viewer_request".into() }]);
    assert!(convention.text(&found.exports, None).contains("runtime = \"python3."));
    assert!(convention.is_of(&found));
    std::fs::write(root.path().join("index.py"), text.replace("viewer_request", "other")).unwrap();
    assert!(!convention.is_of(&found));
}

#[test]
fn what_is_made_up_is_a_configuration_without_problems() {
    let root = project(&[("index.mjs", "export const handler = 1;"), ("public/index.html", "")]);
    let args = ConventionArgs {
        variables: vec!["GREETING=say \"hi\"".into()],
        network: vec!["127.0.0.1:9000".into()],
        ..args()
    };
    let convention = Convention::find(root.path(), args).unwrap();
    let place = tempfile::tempdir().unwrap();
    let (data_dir, echo) = (place.path().join("data"), place.path().join("echo"));
    let listen = "127.0.0.1:8080".parse().unwrap();
    let text = convention.text(&hooks_for(&convention), Some(&Place { listen, data_dir: &data_dir, echo: &echo }));
    let file = place.path().join("selvedge.toml");
    std::fs::write(&file, text).unwrap();
    let config = deployment::load(&file).unwrap();
    let function = &config.deployment.functions["viewer-request"];
    assert_eq!((function.handler.as_str(), function.variables["GREETING"].as_str()), ("index.handler", "say \"hi\""));
    let site = config.deployment.distribution("localhost").unwrap();
    assert_eq!(site.default_root_object.as_deref(), Some("index.html"));
}

#[test]
fn what_people_go_on_from_has_no_problems_either() {
    let root = project(&[("index.mjs", "export const handler = 1;")]);
    let convention = Convention::find(root.path(), args()).unwrap();
    let file = root.path().join("selvedge.toml");
    std::fs::write(&file, convention.text(&hooks_for(&convention), None)).unwrap();
    deployment::load(&file).unwrap();
}

fn hooks_for(convention: &Convention) -> Vec<Export> {
    convention.hooks_of(&["handler".to_owned()])
}

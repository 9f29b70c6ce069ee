//! Every page loads only what is embedded, and nothing that its policy forbids.

use super::{FILES, HEADERS, asset, redirect};

fn text(path: &str) -> String {
    String::from_utf8(asset(path).unwrap().bytes.to_vec()).unwrap()
}

/// The values of `name="…"` in a page.
fn values<'a>(page: &'a str, name: &str) -> Vec<&'a str> {
    let start = format!("{name}=\"");
    page.split(&start).skip(1).map(|rest| rest.split('"').next().unwrap()).collect()
}

#[test]
fn what_a_page_names_is_embedded() {
    for (page, base) in [("/", "/"), ("/demo/", "/demo/"), ("/demo/pydio/", "/demo/pydio/")] {
        let body = text(page);
        for target in [values(&body, "src"), values(&body, "href")].concat() {
            let known = match target {
                "../" if page == "/demo/pydio/" => Some("/demo/".to_owned()),
                "../" => Some("/".to_owned()),
                above if above.starts_with("../") => Some(above.replacen("..", "/demo", 1)),
                anchor if anchor.starts_with('#') => {
                    let id = format!("id=\"{}\"", anchor.trim_start_matches('#'));
                    assert!(body.contains(&id), "{page} has no {anchor}");
                    None
                }
                relative => Some(format!("{base}{relative}")),
            };
            if let Some(path) = known {
                assert!(asset(&path).is_some(), "{page} names {target}");
            }
        }
    }
}

#[test]
fn what_a_script_imports_is_embedded() {
    for (path, ..) in FILES.into_iter().filter(|(path, ..)| path.ends_with(".js")) {
        for line in text(path).lines().filter(|line| line.starts_with("import ")) {
            let name = line.split("\"./").nth(1).unwrap().trim_end_matches("\";");
            assert!(asset(&format!("/demo/assets/{name}")).is_some(), "{path} imports {name}");
        }
    }
}

#[test]
fn pages_are_what_their_policy_allows() {
    for page in ["/", "/demo/", "/demo/pydio/"] {
        let body = text(page);
        for forbidden in
            ["<script>", "<style", " style=", " onclick=", "http://", "https://", "//cdn"]
        {
            assert!(!body.contains(forbidden), "{page} holds {forbidden}");
        }
    }
    for (path, ..) in FILES.into_iter().filter(|(path, ..)| path.ends_with(".js")) {
        let body = text(path);
        for forbidden in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("]
        {
            assert!(!body.contains(forbidden), "{path} uses {forbidden}");
        }
    }
    let (_, policy) =
        HEADERS.into_iter().find(|(name, _)| *name == "content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; "));
    assert!(!policy.contains("unsafe"));
}

#[test]
fn an_etag_follows_the_bytes() {
    let tags: Vec<_> = FILES.into_iter().map(|(path, ..)| asset(path).unwrap().etag).collect();
    for (index, tag) in tags.iter().enumerate() {
        assert!(tag.starts_with('"') && tag.ends_with('"') && tag.len() == 18, "{tag}");
        assert!(!tags.iter().skip(index + 1).any(|other| other == tag), "{tag} twice");
    }
}

#[test]
fn other_paths_are_nobodys() {
    for path in
        ["", "/demo", "/demo/assets/", "/demo/assets/../socket.js", "/room.js", "/index.html"]
    {
        assert_eq!(asset(path), None, "{path}");
    }
    assert_eq!(redirect("/demo"), Some("demo/"));
    assert_eq!(redirect("/demo/"), None);
    assert_eq!(redirect("/demo/pydio"), Some("pydio/"));
}

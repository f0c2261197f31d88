//! HTML pages in place of an answer of the service.

/// Tells whether a body is an HTML page: a proxy or load balancer sends those, and never the service.
pub(crate) fn is_html(content_type: Option<&str>, body: &str) -> bool {
    let body = body.trim_start_matches('\u{feff}').trim_start();
    let labelled = content_type.is_some_and(|kind| kind.trim_start().to_ascii_lowercase().starts_with("text/html"));
    // An empty body is none, whatever its label.
    body.starts_with('<') || (labelled && !body.is_empty())
}

/// Returns the text of a page: its title if it has one, else all of its text.
pub(crate) fn of_html(page: &str) -> String {
    match between(page, "<title", "</title") {
        Some(title) if !title.trim().is_empty() => title.to_owned(),
        Some(_) | None => without_tags(page),
    }
}

/// Returns the text of the first element that opens with `open`, found without regard to case.
fn between<'a>(page: &'a str, open: &str, close: &str) -> Option<&'a str> {
    // ASCII lower-casing keeps every byte offset.
    let lower = page.to_ascii_lowercase();
    let tag = lower.find(open)?;
    let start = tag + lower[tag..].find('>')? + 1;
    let end = start + lower[start..].find(close)?;
    Some(&page[start..end])
}

fn without_tags(page: &str) -> String {
    let mut text = String::new();
    let mut inside = false;
    for c in page.chars() {
        match c {
            '<' => {
                inside = true;
                text.push(' ');
            }
            '>' => inside = false,
            _ if inside => (),
            _ => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_known_by_its_label_or_its_first_character() {
        assert!(is_html(Some("text/html; charset=utf-8"), "ok"));
        assert!(is_html(Some("Text/HTML"), "{}"));
        assert!(is_html(None, "\u{feff}\n <html>"));
        assert!(!is_html(Some("text/html"), " \n"));
        assert!(!is_html(Some("text/plain"), "ok"));
        assert!(!is_html(None, "{ }"));
    }

    #[test]
    fn a_page_says_its_title_or_else_its_text() {
        assert_eq!(of_html("<html><head><TITLE lang=en>502 Bad Gateway</TITLE></head><body>x"), "502 Bad Gateway");
        let secrets = crate::transport::secrets::Secrets::default();
        assert_eq!(secrets.short(&of_html("<p>Service<br>is <b>down</b></p>")), "Service is down");
        assert_eq!(secrets.short(&of_html("<title></title>gone")), "gone");
        assert_eq!(of_html("<title>never closed").trim(), "never closed");
    }
}

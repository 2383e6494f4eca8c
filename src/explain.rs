//! `whorl explain`: the pages of docs/errors, which are part of the program.

use std::process::ExitCode;

use include_dir::{Dir, include_dir};
use whorl_trace::nearest;

static PAGES: Dir = include_dir!("$CARGO_MANIFEST_DIR/docs/errors");

/// What is known of one code.
pub struct Page {
    pub code: &'static str,
    /// What happened, in a line.
    pub title: &'static str,
    /// The whole page, as Markdown.
    pub text: &'static str,
}

/// Prints the page of a code, or a line for every code there is.
pub fn explain(code: Option<&str>) -> Result<ExitCode, String> {
    match code {
        Some(code) => crate::put(find(code)?.text),
        None => {
            for page in pages() {
                say!("{}  {}", page.code, page.title);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The page of a code, however it is written: `E0301`, `e301`, `301`, `error[E0301]`. An error is a sentence.
pub fn find(asked: &str) -> Result<Page, String> {
    let code = canonical(asked);
    let mut known = pages();
    match known.iter().position(|p| p.code == code) {
        Some(k) => Ok(known.swap_remove(k)),
        None => {
            // The first digits are seldom wrong: the codes of the same group are looked at first.
            let (group, others): (Vec<&str>, Vec<&str>) =
                known.iter().map(|p| p.code).partition(|c| code.get(..3) == c.get(..3));
            let hint = nearest(&code, group).or_else(|| nearest(&code, others));
            let hint = hint.map_or(String::new(), |c| format!("; did you mean `{c}`?"));
            Err(format!("error: there is no error or warning `{asked}`{hint} (`whorl explain` lists all)"))
        }
    }
}

/// All pages, in the order of their codes.
pub fn pages() -> Vec<Page> {
    let mut found: Vec<Page> =
        PAGES.files().filter_map(|f| page(f.path().file_stem()?.to_str()?, f.contents_utf8()?)).collect();
    found.sort_by_key(|p| p.code);
    found
}

/// A page begins with `# E0301: what happened`.
fn page(code: &'static str, text: &'static str) -> Option<Page> {
    let (said, title) = text.lines().next()?.strip_prefix("# ")?.split_once(": ")?;
    (said == code).then_some(Page { code, title, text })
}

/// The line that follows rendered errors and says which pages explain them; each kind of error is named once.
pub fn hint(rendered: &str) -> Option<String> {
    let codes = rendered.lines().filter_map(|l| l.strip_prefix("error[")?.split_once(']')).map(|(code, _)| code);
    let mut named: Vec<&str> = Vec::new();
    for code in codes {
        if !named.contains(&code) && find(code).is_ok() {
            named.push(code);
        }
    }
    match named[..] {
        [] => None,
        [one] => Some(format!("`whorl explain {one}` says more")),
        [first, ..] => {
            Some(format!("`whorl explain {first}` says more; there are pages for {} too", named[1..].join(", ")))
        }
    }
}

/// `E0301` for `e301`, `301` or `error[E0301]`; what is no code stays.
fn canonical(asked: &str) -> String {
    let upper = asked.trim().to_ascii_uppercase();
    let bare = upper.split_once('[').map_or(upper.as_str(), |(_, rest)| rest.trim_end_matches(']'));
    let letters = bare.trim_end_matches(|c: char| c.is_ascii_digit());
    match bare[letters.len()..].parse::<u32>() {
        Ok(number) if letters.len() <= 1 => format!("{}{number:04}", if letters.is_empty() { "E" } else { letters }),
        _ => bare.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_as_people_write_them() {
        for asked in ["E0301", "e0301", "301", "E301", "error[E0301]", " E0301 "] {
            assert_eq!(canonical(asked), "E0301", "{asked}");
        }
        assert_eq!(canonical("w1"), "W0001");
        assert_eq!(canonical("keys"), "KEYS");
    }

    #[test]
    fn an_unknown_code_gets_a_guess() {
        let said = find("E0321").err().unwrap_or_default();
        assert!(said.contains("there is no error or warning `E0321`; did you mean `E0301`?"), "{said}");
        assert!(find("nonsense").err().unwrap_or_default().contains("lists all"));
    }

    #[test]
    fn one_line_for_all_errors() {
        let said = hint("error[E0301]: a\n  x\n\nerror[E0101]: b\n\nerror[E0301]: c\nwarning[W0001]: d\n");
        assert_eq!(said.as_deref(), Some("`whorl explain E0301` says more; there are pages for E0101 too"));
        assert_eq!(hint("error: no such file"), None);
    }
}

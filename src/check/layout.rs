//! Text in sections of lines, for terminals of 80 columns.

use whorl_trace::Shown;

pub const WIDTH: usize = 80;
/// Longer types are cut.
const MOST_LINES: usize = 40;

/// A heading, and a line under it for each of its rows.
pub fn section(title: &str, lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let mut text = format!("{title}\n");
    for line in lines {
        text += format!("  {line}").trim_end();
        text.push('\n');
    }
    text.push('\n');
    text
}

/// Words in lines of at most `width` characters; the lines behind the first begin with so many spaces.
pub fn wrapped(text: &str, width: usize, indent: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        let fits = line.chars().count() + 1 + word.chars().count() <= width;
        if line.trim().is_empty() || fits {
            if !line.is_empty() && !line.ends_with(' ') {
                line.push(' ');
            }
            line += word;
        } else {
            lines.push(std::mem::replace(&mut line, format!("{}{word}", " ".repeat(indent))));
        }
    }
    lines.push(line);
    lines
}

/// A column of left-aligned texts before wrapped ones.
pub fn described(left: &str, width: usize, text: &str) -> Vec<String> {
    let mut lines = wrapped(text, WIDTH - 4 - width, 0);
    for (k, line) in lines.iter_mut().enumerate() {
        let first = if k == 0 { left } else { "" };
        *line = format!("{first:width$}  {line}").trim_end().to_string();
    }
    if left.chars().count() > width {
        lines[0] = lines[0].replacen(left, "", 1).trim().to_string();
        lines[0] = format!("{:width$}  {}", "", lines[0]).trim_end().to_string();
        lines.insert(0, left.to_string());
    }
    lines
}

/// A type behind `head`, over as many lines as it needs; what is longer than a screen is cut.
pub fn type_lines(head: &str, shown: &Shown, tail: &str) -> Vec<String> {
    let (mut lines, mut seen) = (Vec::new(), Vec::new());
    lay(head, shown, tail, &Place { depth: 0, path: String::new() }, &mut seen, &mut lines);
    if lines.len() > MOST_LINES {
        let more = lines.len() - MOST_LINES + 1;
        lines.truncate(MOST_LINES - 1);
        lines.push(format!("… {more} lines more (`--json` has all)"));
    }
    lines
}

/// Where a part of a type stands.
struct Place {
    depth: usize,
    /// `net.policy`
    path: String,
}

impl Place {
    fn below(&self, part: &str) -> Place {
        let path = if self.path.is_empty() { part.to_string() } else { format!("{}.{part}", self.path) };
        Place { depth: self.depth + 1, path }
    }
}

/// What takes several lines is told once; the same type again refers to it.
fn lay<'s>(
    head: &str,
    shown: &'s Shown,
    tail: &str,
    at: &Place,
    seen: &mut Vec<(&'s Shown, String)>,
    lines: &mut Vec<String>,
) {
    let pad = "  ".repeat(at.depth);
    let flat = format!("{pad}{head}{}{tail}", shown.text());
    if flat.chars().count() <= WIDTH - 2 {
        return lines.push(flat);
    }
    if let Some((_, path)) = seen.iter().find(|(known, _)| *known == shown) {
        return lines.push(format!("{pad}{head}as {path}{tail}"));
    }
    if !at.path.is_empty() {
        seen.push((shown, at.path.clone()));
    }
    match shown {
        Shown::Word(_) | Shown::Unit => lines.push(flat),
        Shown::Tuple(parts) => {
            lines.push(format!("{pad}{head}("));
            for (k, p) in parts.iter().enumerate() {
                lay("", p, ",", &at.below(&k.to_string()), seen, lines);
            }
            lines.push(format!("{pad}){tail}"));
        }
        Shown::Record(name, fields) => {
            let name = name.as_ref().map_or(String::new(), |n| format!("{n} "));
            lines.push(format!("{pad}{head}{name}{{"));
            fields.iter().for_each(|(n, v)| lay(&format!("{n}: "), v, ",", &at.below(n), seen, lines));
            lines.push(format!("{pad}}}{tail}"));
        }
        Shown::Array(of, sizes) => lay(head, of, &format!("[{}]{tail}", sizes.join(", ")), at, seen, lines),
    }
}

/// `1.23 G`, three digits.
pub fn amount(n: u64) -> String {
    let units = [(1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    let x = n as f64;
    match units.iter().find(|(size, _)| x >= *size) {
        Some((size, unit)) => {
            let y = x / size;
            let digits = if y >= 99.95 {
                0
            } else if y >= 9.995 {
                1
            } else {
                2
            };
            format!("{y:.digits$} {unit}")
        }
        None => format!("{n} "),
    }
}

/// `12 %`; what is there and rounds to nothing is `<1 %`.
pub fn share(part: u64, whole: u64) -> String {
    let percent = if whole == 0 { 0.0 } else { 100.0 * part as f64 / whole as f64 };
    if part > 0 && percent < 0.5 { "<1 %".to_string() } else { format!("{percent:.0} %") }
}

/// A count and its noun.
pub fn counted(n: usize, noun: &str) -> String {
    let plural = match noun.strip_suffix("ch") {
        Some(_) => format!("{noun}es"),
        None => format!("{noun}s"),
    };
    if n == 1 { format!("{n} {noun}") } else { format!("{n} {plural}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_three_digits() {
        for (n, text) in [(0, "0 "), (999, "999 "), (1000, "1.00 k"), (12_345, "12.3 k"), (999_960, "1000 k")] {
            assert_eq!(amount(n), text);
        }
        assert_eq!((share(1, 1000), share(0, 5), share(1, 2)), ("<1 %".into(), "0 %".into(), "50 %".into()));
    }

    #[test]
    fn words_are_wrapped() {
        assert_eq!(wrapped("one two three", 7, 2), ["one two", "  three"]);
        assert_eq!(described("a", 3, "b"), ["a    b"]);
    }
}

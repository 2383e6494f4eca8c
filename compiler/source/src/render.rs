//! Diagnostics as text: the lines they speak of, with marks under them.

use crate::{Diagnostic, Label, Severity, SourceMap};

impl Diagnostic {
    /// The text a terminal shows, without colours, ending in a newline. Labels of one line share it:
    ///
    /// ```text
    /// error[E0101]: sizes do not agree in `x @ w`
    ///    ┌─ nn.whorl:12:11
    /// 12 │   let h = x @ w
    ///    │           ^   ^ f32[hidden, 64], declared at model.whorl:4
    ///    │           f32[batch, obs]
    ///    = obs = 4 and hidden = 64
    ///    = called from train (ppo.whorl:31): `layer(w, obs)`
    ///    help: the inner sizes must be equal
    /// ```
    pub fn render(&self, map: &SourceMap) -> String {
        let kind = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let mut out = format!("{kind}[{}]: {}\n", self.code, self.message);
        let marks: Vec<Mark> = self.labels.iter().filter_map(|l| Mark::new(l, map)).collect();
        let gutter = marks.iter().map(|m| m.line).max().unwrap_or(1).to_string().len();
        let mut lines: Vec<Vec<&Mark>> = Vec::new();
        for mark in &marks {
            match lines.iter_mut().find(|l| (l[0].file, l[0].line) == (mark.file, mark.line)) {
                Some(line) => line.push(mark),
                None => lines.push(vec![mark]),
            }
        }
        let mut previous = None;
        for line in &lines {
            let first = line[0];
            let Some(file) = map.file(first.label.span.file) else { continue };
            if previous != Some(first.file) {
                out += &format!("{:gutter$} ┌─ {}:{}:{}\n", "", file.name, first.line, first.from + 1);
            }
            previous = Some(first.file);
            let text = file.line(first.line);
            out += &format!("{:>gutter$} │ {text}\n", first.line);
            for row in rows(text, line) {
                out += &format!("{:gutter$} │ {row}\n", "");
            }
        }
        for note in self.notes.iter().chain(&self.calls) {
            out += &format!("{:gutter$} = {note}\n", "");
        }
        if let Some(help) = &self.help {
            out += &format!("{:gutter$} help: {}\n", "", help.replace('\n', &format!("\n{:w$}", "", w = gutter + 7)));
        }
        out
    }
}

/// A label on its line: the characters `from..to`.
struct Mark<'a> {
    label: &'a Label,
    file: u32,
    line: usize,
    from: usize,
    to: usize,
}

impl<'a> Mark<'a> {
    fn new(label: &'a Label, map: &SourceMap) -> Option<Mark<'a>> {
        let file = map.file(label.span.file)?;
        let (line, column) = file.position(label.span.start);
        let (end_line, end_column) = file.position(label.span.end);
        let from = column - 1;
        let to = if end_line == line { end_column - 1 } else { file.line(line).chars().count() };
        Some(Mark { label, file: label.span.file.0, line, from, to: to.max(from + 1) })
    }
}

/// The rows under a line: its marks, each row with the text of its last, and below it the texts of the others.
fn rows(text: &str, marks: &[&Mark]) -> Vec<String> {
    let mut out = Vec::new();
    let mut left: Vec<&Mark> = marks.to_vec();
    while !left.is_empty() {
        // Marks that do not meet stand side by side.
        let (mut row, mut later): (Vec<&Mark>, Vec<&Mark>) = (Vec::new(), Vec::new());
        for mark in left {
            let meets = row.iter().any(|m| mark.from < m.to + 1 && m.from < mark.to + 1);
            if meets { later.push(mark) } else { row.push(mark) }
        }
        row.sort_by_key(|m| m.from);
        let mut line = String::new();
        for mark in &row {
            pad(&mut line, text, mark.from);
            line += &"^".repeat(mark.to - mark.from);
        }
        if let Some(last) = row.pop() {
            out.push(format!("{line} {}", last.label.text).trim_end().to_string());
        }
        while let Some(mark) = row.pop() {
            if mark.label.text.is_empty() {
                continue;
            }
            let mut line = String::new();
            for other in row.iter().filter(|m| !m.label.text.is_empty()) {
                pad(&mut line, text, other.from);
                line.push('|');
            }
            pad(&mut line, text, mark.from);
            out.push(line + &mark.label.text);
        }
        left = later;
    }
    out
}

/// Spaces up to a column of `text`; its tabs stay tabs.
fn pad(line: &mut String, text: &str, column: usize) {
    let have = line.chars().count();
    line.extend(
        text.chars()
            .chain(std::iter::repeat(' '))
            .skip(have)
            .take(column.saturating_sub(have))
            .map(|c| if c == '\t' { '\t' } else { ' ' }),
    );
}

#[cfg(test)]
mod tests {
    use crate::{Diagnostic, SourceMap, Span};

    #[test]
    fn labels_of_one_line_share_it() {
        let mut map = SourceMap::new();
        let file = map.add("a.whorl", "let h = x @ w\n");
        let e =
            Diagnostic::error("E0101", "sizes").at(Span::new(file, 8, 9), "left").at(Span::new(file, 12, 13), "right");
        let expected =
            "error[E0101]: sizes\n  ┌─ a.whorl:1:9\n1 │ let h = x @ w\n  │         ^   ^ right\n  │         left\n";
        assert_eq!(e.render(&map), expected);
    }

    #[test]
    fn labels_that_overlap_have_rows_of_their_own() {
        let mut map = SourceMap::new();
        let file = map.add("a.whorl", "f(g(x), y)\n");
        let e =
            Diagnostic::error("E0001", "both").at(Span::new(file, 0, 10), "whole").at(Span::new(file, 2, 6), "part");
        let expected = "error[E0001]: both\n  ┌─ a.whorl:1:1\n1 │ f(g(x), y)\n  │ ^^^^^^^^^^ whole\n  │   ^^^^ part\n";
        assert_eq!(e.render(&map), expected);
    }
}

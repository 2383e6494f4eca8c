//! The smallest text that still fails, by leaving pieces out (Zeller & Hildebrandt's delta debugging, 2002).

use whorl_source::FileId;

/// Leaves out lines, then tokens, as long as `fails` says yes; it is asked at most `most` times.
pub fn reduce(text: &str, most: usize, mut fails: impl FnMut(&str) -> bool) -> String {
    let mut left = most;
    let mut ask = |text: &str| {
        left = left.saturating_sub(1);
        left > 0 && fails(text)
    };
    let lines: Vec<String> = text.split_inclusive('\n').map(str::to_string).collect();
    let text = pieces(lines, &mut ask).concat();
    let tree = whorl_syntax::parse(FileId(0), &text).tree;
    let tokens: Vec<String> = tree.tokens().into_iter().map(|t| tree.token_text(t).to_string()).collect();
    pieces(tokens, &mut ask).concat()
}

fn pieces(mut kept: Vec<String>, fails: &mut impl FnMut(&str) -> bool) -> Vec<String> {
    let mut width = kept.len().div_ceil(2);
    while width > 0 {
        let mut at = 0;
        while at < kept.len() {
            let mut less = kept.clone();
            less.drain(at..(at + width).min(kept.len()));
            if !less.is_empty() && fails(&less.concat()) {
                kept = less;
            } else {
                at += width;
            }
        }
        width = if width == 1 { 0 } else { width.div_ceil(2) };
    }
    kept
}

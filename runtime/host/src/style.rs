//! What all pictures of ours share: colours, letters, the numbers at axes.

use plotters::style::{FontStyle, RGBColor, register_font};

/// The colours of what is drawn, in order (Tableau 10, told apart by the colour-blind as well as ten can be).
pub const COLOURS: [RGBColor; 10] = [
    RGBColor(0x1f, 0x77, 0xb4),
    RGBColor(0xff, 0x7f, 0x0e),
    RGBColor(0x2c, 0xa0, 0x2c),
    RGBColor(0xd6, 0x27, 0x28),
    RGBColor(0x94, 0x67, 0xbd),
    RGBColor(0x8c, 0x56, 0x4b),
    RGBColor(0xe3, 0x77, 0xc2),
    RGBColor(0x7f, 0x7f, 0x7f),
    RGBColor(0xbc, 0xbd, 0x22),
    RGBColor(0x17, 0xbe, 0xcf),
];

pub const FONT: &str = "sans-serif";

/// Makes [`FONT`] known: letters are measured, and drawn into bitmaps, with DejaVu Sans; an SVG's reader takes its own. A font that
/// is known already stays.
pub fn prepare() {
    // The font is part of the program; were it broken, drawing would say so.
    let _ = register_font(FONT, FontStyle::Normal, dejavu::sans::regular());
}

/// Sizes of letters: the picture's title, a panel's, and all else.
pub const TITLE: i32 = 18;
pub const CAPTION: i32 = 15;
pub const TEXT: i32 = 12;

/// How opaque the area between two lines is.
pub const BAND: f64 = 0.2;

/// Numbers at an axis that goes over so much: what is nearly 0 there is 0.
pub fn ticks(over: f64) -> impl Fn(&f64) -> String {
    move |x| if x.abs() < over * 1e-9 { "0".to_string() } else { tick(*x) }
}

/// Six digits that count, as short as they can be said.
fn tick(x: f64) -> String {
    if x == 0.0 {
        return "0".to_string();
    }
    let size = x.abs();
    if !(1e-4..1e7).contains(&size) {
        let text = format!("{x:.4e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        return format!("{}e{exponent}", trimmed(digits));
    }
    let decimals = (5 - size.log10().floor() as i32).clamp(0, 9) as usize;
    trimmed(&format!("{x:.decimals$}")).to_string()
}

fn trimmed(digits: &str) -> &str {
    if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_short() {
        let said: Vec<String> = [0.0, 0.1 + 0.2, -2.0, 1500.0, 1e7, 2.5e-6, -0.05, 999_999.5].map(tick).to_vec();
        assert_eq!(said, ["0", "0.3", "-2", "1500", "1e7", "2.5e-6", "-0.05", "1000000"]);
        assert_eq!((ticks(1.0)(&5.6e-17), ticks(1e-16)(&5.6e-17)), ("0".to_string(), "5.6e-17".to_string()));
    }
}

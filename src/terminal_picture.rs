//! Pictures in a terminal: two pixels a character (▀ in two colours), or shades of characters where there are no colours.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use terminal_size::{Height, Width, terminal_size};

use crate::eval::film::Film;

/// What a terminal can show.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Colours {
    /// 24 bits a colour.
    True,
    /// The cube of 6 × 6 × 6 colours and the greys of 256.
    Palette,
    /// Characters from light to dense.
    None,
}

/// More are not seen.
const FASTEST: f64 = 30.0;
/// How soon Ctrl-C is heard.
const NAP: Duration = Duration::from_millis(40);
/// Where the output is no terminal.
const PAGE: (usize, usize) = (79, 24);
const SHADES: &[u8] = b" .:-=+*#%@";

/// Plays the film, with a line under it; the last picture stays. Where the output is no terminal, that one is all.
pub fn show(film: &Film, title: &str, terminal: bool) -> Result<ExitCode, String> {
    if !terminal {
        let last = &film.frames[film.frames.len() - 1];
        let small = shrunk(film, last, fitting(film, PAGE.0, 2 * PAGE.1));
        lines(&small, Colours::None).iter().for_each(|line| say!("{line}"));
        say!("{title}, the last of {} pictures", film.frames.len());
        return Ok(ExitCode::SUCCESS);
    }
    let (interrupted, ended) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    // Without the handlers a signal ends the process at once, and the cursor stays hidden.
    let _ = signal_hook::flag::register(SIGINT, interrupted.clone());
    let _ = signal_hook::flag::register(SIGTERM, ended.clone());
    let stopped = || interrupted.load(Ordering::Relaxed) || ended.load(Ordering::Relaxed);
    let colours = colours(|name| std::env::var(name).ok());
    let mut screen = Screen::default();
    let begin = Instant::now();
    let every = (film.fps / FASTEST).ceil().max(1.0) as usize;
    let last = film.frames.len() - 1;
    let mut k = 0;
    while !stopped() {
        let due = Duration::from_secs_f64(k as f64 / film.fps);
        while let Some(rest) = due.checked_sub(begin.elapsed()).filter(|r| !r.is_zero()) {
            if stopped() {
                break;
            }
            std::thread::sleep(rest.min(NAP));
        }
        if screen.put(film, k, title, colours).is_err() || k == last {
            break;
        }
        // A slow terminal sees fewer pictures, at the right time.
        let now = (begin.elapsed().as_secs_f64() * film.fps) as usize;
        k = (k + every).max(now / every * every).min(last);
    }
    screen.close();
    Ok(match (interrupted.load(Ordering::Relaxed), ended.load(Ordering::Relaxed)) {
        (true, _) => ExitCode::from(130),
        (false, true) => ExitCode::from(143),
        (false, false) => ExitCode::SUCCESS,
    })
}

/// What is on the terminal.
#[derive(Default)]
struct Screen {
    size: (usize, usize),
    lines: Vec<String>,
}

impl Screen {
    /// Draws picture `k` over the one before, if there was one; an error says that nobody looks any more.
    fn put(&mut self, film: &Film, k: usize, title: &str, colours: Colours) -> std::io::Result<()> {
        let size = terminal_size().map_or(PAGE, |(Width(w), Height(h))| (w as usize, h as usize));
        // A line for the title, and one for the cursor, which stands under it.
        let small = shrunk(film, &film.frames[k], fitting(film, size.0, 2 * size.1.saturating_sub(2).max(1)));
        let mut lines = lines(&small, colours);
        let seconds = k as f64 / film.fps;
        let below = format!("{title}  {k} of {}  {seconds:.2} s", film.frames.len() - 1);
        lines.push(below.chars().take(size.0.saturating_sub(1)).collect());
        let mut out = String::from(if self.lines.is_empty() { "\x1b[?25l" } else { "" });
        if self.lines.is_empty() || self.size == size && self.lines.len() == lines.len() {
            if !self.lines.is_empty() {
                let _ = write!(out, "\x1b[{}A\r", self.lines.len());
            }
            for (k, line) in lines.iter().enumerate() {
                if self.lines.get(k) != Some(line) {
                    let _ = write!(out, "{line}\x1b[K");
                }
                out += "\r\n";
            }
        } else {
            // The terminal has another size, and what was there is anywhere.
            out += "\x1b[2J\x1b[H";
            lines.iter().for_each(|line| out += &format!("{line}\x1b[K\r\n"));
        }
        (self.size, self.lines) = (size, lines);
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(out.as_bytes())?;
        stdout.flush()
    }

    /// Gives the cursor back.
    fn close(&self) {
        if !self.lines.is_empty() {
            crate::put("\x1b[0m\x1b[?25h");
            let _ = std::io::stdout().flush();
        }
    }
}

/// What the terminal can show, by its environment.
pub fn colours(variable: impl Fn(&str) -> Option<String>) -> Colours {
    let of = |name: &str| variable(name).unwrap_or_default();
    let (term, colour_term) = (of("TERM"), of("COLORTERM"));
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().map(of).find(|v| !v.is_empty()).unwrap_or_default();
    // Where nothing is said, as in most containers, terminals know it.
    let utf8 = locale.is_empty() || locale.to_ascii_lowercase().replace('-', "").contains("utf8");
    if !of("NO_COLOR").is_empty() || term.is_empty() || term == "dumb" || !utf8 {
        return Colours::None;
    }
    let direct = ["direct", "kitty", "alacritty", "foot", "wezterm", "ghostty"].iter().any(|t| term.contains(t));
    match colour_term.as_str() {
        "truecolor" | "24bit" => Colours::True,
        _ if direct => Colours::True,
        _ if term.contains("256") => Colours::Palette,
        _ => Colours::None,
    }
}

/// The largest size in so many square pixels that keeps the proportions; the height is even.
fn fitting(film: &Film, width: usize, height: usize) -> (usize, usize) {
    let (w, h) = (film.width as f64, film.height as f64);
    let scale = (width as f64 / w).min(height as f64 / h);
    let side = |x: f64, most: usize| ((x * scale).round() as usize).clamp(1, most.max(1));
    let rows = side(h, height).div_ceil(2).min(height / 2).max(1);
    (side(w, width), 2 * rows)
}

/// A picture in pixels of a terminal.
struct Small {
    width: usize,
    pixels: Vec<[u8; 3]>,
}

/// The means of what falls into each pixel.
fn shrunk(film: &Film, frame: &[u8], (width, height): (usize, usize)) -> Small {
    let columns = shares(film.width, width);
    let rows = shares(film.height, height);
    // Along rows first.
    let mut narrow = vec![[0.0f32; 3]; film.height * width];
    for y in 0..film.height {
        for (x, parts) in columns.iter().enumerate() {
            for &(from, share) in parts {
                let at = (y * film.width + from) * 3;
                (0..3).for_each(|c| narrow[y * width + x][c] += share * frame[at + c] as f32);
            }
        }
    }
    let mut pixels = Vec::with_capacity(width * height);
    for parts in &rows {
        for x in 0..width {
            let mut sum = [0.0f32; 3];
            for &(from, share) in parts {
                (0..3).for_each(|c| sum[c] += share * narrow[from * width + x][c]);
            }
            pixels.push(sum.map(|v| v.round() as u8));
        }
    }
    Small { width, pixels }
}

/// Of `from` cells in a row, which fall into each of `to`, and with what share.
fn shares(from: usize, to: usize) -> Vec<Vec<(usize, f32)>> {
    let size = from as f64 / to as f64;
    let cell = |k: usize| {
        let (begin, end) = (k as f64 * size, (k + 1) as f64 * size);
        let inside = begin as usize..(end.ceil() as usize).min(from);
        let parts = inside.map(|i| (i, (((i + 1) as f64).min(end) - (i as f64).max(begin)) / size));
        parts.filter(|(_, share)| *share > 1e-9).map(|(i, share)| (i, share as f32)).collect()
    };
    (0..to).map(cell).collect()
}

/// A line for every two rows of pixels.
fn lines(picture: &Small, colours: Colours) -> Vec<String> {
    let pairs = picture.pixels.chunks_exact(2 * picture.width).map(|rows| rows.split_at(picture.width));
    if colours == Colours::None {
        // What is drawn on a bright ground are dark lines: the ground is left empty, whatever the colour of the terminal.
        let mean = picture.pixels.iter().map(|p| luminance(*p)).sum::<f32>() / picture.pixels.len().max(1) as f32;
        return pairs.map(|(upper, lower)| shaded(upper, lower, mean > 0.5)).collect();
    }
    pairs.map(|(upper, lower)| line(upper, lower, colours)).collect()
}

fn shaded(upper: &[[u8; 3]], lower: &[[u8; 3]], bright: bool) -> String {
    let shade = |(up, down): (&[u8; 3], &[u8; 3])| {
        let grey = (luminance(*up) + luminance(*down)) / 2.0;
        let dense = if bright { 1.0 - grey } else { grey };
        SHADES[((dense * SHADES.len() as f32) as usize).min(SHADES.len() - 1)] as char
    };
    upper.iter().zip(lower).map(shade).collect::<String>().trim_end().to_string()
}

fn line(upper: &[[u8; 3]], lower: &[[u8; 3]], colours: Colours) -> String {
    let mut out = String::new();
    // The codes that hold, of the upper and of the lower half.
    let mut now = [String::new(), String::new()];
    for (up, down) in upper.iter().zip(lower) {
        for (half, (colour, layer)) in [(up, 38), (down, 48)].into_iter().enumerate() {
            let code = match colours {
                Colours::True => format!("\x1b[{layer};2;{};{};{}m", colour[0], colour[1], colour[2]),
                Colours::Palette => format!("\x1b[{layer};5;{}m", nearest(*colour)),
                Colours::None => String::new(),
            };
            if now[half] != code {
                out += &code;
                now[half] = code;
            }
        }
        out.push('▀');
    }
    out + "\x1b[0m"
}

/// From 0 to 1 (ITU-R BT.709, without its gamma).
fn luminance([r, g, b]: [u8; 3]) -> f32 {
    (0.2126 * r as f32 + 0.7152 * g as f32 + 0.0722 * b as f32) / 255.0
}

/// The nearest of the colours 16 to 255 of terminals: a cube, and 24 greys.
fn nearest(colour: [u8; 3]) -> u8 {
    const LEVELS: [i32; 6] = [0, 95, 135, 175, 215, 255];
    let place = |v: u8| (0..6).min_by_key(|k| (LEVELS[*k] - v as i32).abs()).unwrap_or(0);
    let distance = |other: [i32; 3]| (0..3).map(|c| (colour[c] as i32 - other[c]).pow(2)).sum::<i32>();
    let [r, g, b] = colour.map(place);
    let mean = colour.iter().map(|v| *v as i32).sum::<i32>() / 3;
    let grey = ((mean - 8 + 5) / 10).clamp(0, 23);
    if distance([8 + 10 * grey; 3]) < distance([LEVELS[r], LEVELS[g], LEVELS[b]]) {
        232 + grey as u8
    } else {
        (16 + 36 * r + 6 * g + b) as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn film(width: usize, height: usize, grey: &[u8]) -> Film {
        Film { width, height, frames: vec![grey.iter().flat_map(|v| [*v; 3]).collect()], fps: 1.0 }
    }

    #[test]
    fn a_picture_fits_and_keeps_its_proportions() {
        let wide = film(200, 120, &[]);
        assert_eq!(fitting(&wide, 80, 44), (73, 44));
        assert_eq!(fitting(&wide, 40, 200), (40, 24));
        assert_eq!(fitting(&wide, 1, 2), (1, 2));
        // Small ones grow.
        assert_eq!(fitting(&film(4, 4, &[]), 80, 44), (44, 44));
    }

    #[test]
    fn pixels_are_means() {
        let f = film(4, 2, &[0, 100, 200, 200, 0, 100, 0, 0]);
        let small = shrunk(&f, &f.frames[0], (2, 2));
        assert_eq!(small.pixels.iter().map(|p| p[0]).collect::<Vec<u8>>(), [50, 200, 50, 0]);
        // Three cells in two: the one in the middle falls half into each.
        let f = film(3, 1, &[30, 60, 90]);
        let small = shrunk(&f, &f.frames[0], (2, 2));
        assert_eq!(small.pixels.iter().map(|p| p[0]).collect::<Vec<u8>>(), [40, 80, 40, 80]);
    }

    #[test]
    fn colours_are_said_once() {
        let red = [255, 0, 0];
        let text = line(&[red, red], &[red, [8, 8, 8]], Colours::True);
        assert_eq!(text, "\x1b[38;2;255;0;0m\x1b[48;2;255;0;0m▀\x1b[48;2;8;8;8m▀\x1b[0m");
        assert_eq!(line(&[red], &[[8, 8, 8]], Colours::Palette), "\x1b[38;5;196m\x1b[48;5;232m▀\x1b[0m");
        assert_eq!(shaded(&[[255; 3], [0; 3]], &[[255; 3], [0; 3]], false), "@");
        assert_eq!(shaded(&[[255; 3], [0; 3]], &[[255; 3], [0; 3]], true), " @");
        assert_eq!([[0; 3], [255; 3], [95, 135, 175], [128; 3]].map(nearest), [16, 231, 67, 244]);
    }

    #[test]
    fn terminals_differ() {
        let of =
            |pairs: &[(&str, &str)]| colours(|name| pairs.iter().find(|(n, _)| *n == name).map(|(_, v)| v.to_string()));
        let utf8 = ("LANG", "C.UTF-8");
        assert_eq!(of(&[("TERM", "xterm-256color"), utf8]), Colours::Palette);
        assert_eq!(of(&[("TERM", "xterm-256color"), ("COLORTERM", "truecolor"), utf8]), Colours::True);
        assert_eq!(of(&[("TERM", "xterm-kitty"), utf8]), Colours::True);
        assert_eq!(of(&[("TERM", "xterm-256color"), ("LANG", "C")]), Colours::None);
        assert_eq!(of(&[("TERM", "xterm-256color"), ("NO_COLOR", "1"), utf8]), Colours::None);
        assert_eq!(of(&[("TERM", "vt100"), utf8]), Colours::None);
        assert_eq!(of(&[("TERM", "screen-256color")]), Colours::Palette);
        assert_eq!(of(&[]), Colours::None);
    }
}

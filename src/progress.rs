//! What people see while a program runs: how far it is, how fast, and what it logs.
//!
//! ```text
//! ━━━━━━━━━━━━━━━━━━━━━╸━━━━━━━━━━━━━━━━━━━━━━  48 %  312 k steps/s  6 s, 7 s left
//! return 245.3 ± 41.0   length 245.1 ± 40.8   loss 9.6 ± 1.2
//! ```
//!
//! On a terminal these lines are drawn again and again; elsewhere one is written now and then.

use std::collections::VecDeque;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use whorl_host::drive;
use whorl_host::metrics::{ENV_STEPS, Metrics, spread};

use crate::words::si;

/// Where progress goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Style {
    /// A bar that is drawn anew.
    Terminal,
    /// A line now and then.
    Lines,
    Silent,
}

/// Time between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// Such a line is no longer than this.
const LINE_WIDTH: usize = 79;
/// Speed is that of so long ago until now.
const RECENT: Duration = Duration::from_secs(5);
/// Lines of values on a terminal.
const VALUE_LINES: usize = 4;
/// A bar is between so many columns wide.
const BAR: (usize, usize) = (10, 40);

pub struct Progress {
    style: Style,
    names: Vec<String>,
    runs: usize,
    /// Of the `train scan` that goes on; only on a terminal.
    bar: Option<ProgressBar>,
    /// How far it was, lately: time, steps, environment steps.
    recent: VecDeque<(Duration, usize, f64)>,
    phase: usize,
    /// Of the metrics, how many records have been looked at, and of each log the latest values.
    seen: usize,
    latest: Vec<Option<(f64, f64)>>,
    last_line: Option<Duration>,
    /// The terminal's width that was last drawn for, and the bar's.
    drawn: (usize, usize),
}

impl Progress {
    /// `log_names` in the program's order.
    pub fn new(style: Style, log_names: Vec<String>, runs: usize) -> Progress {
        Progress {
            style,
            latest: vec![None; log_names.len()],
            names: log_names,
            runs,
            bar: None,
            recent: VecDeque::new(),
            phase: 0,
            seen: 0,
            last_line: None,
            drawn: (0, 0),
        }
    }

    /// Where a run that goes on begins, so that its speed is that of now.
    pub fn begin_at(&mut self, phase: usize, done: usize, env_steps: f64) {
        self.phase = phase;
        self.recent = VecDeque::from([(Duration::ZERO, done, env_steps)]);
    }

    pub fn update(&mut self, p: &drive::Progress, metrics: &Metrics) {
        self.look_at(metrics);
        if p.total == 0 || self.style == Style::Silent {
            return;
        }
        if p.phase != self.phase || self.recent.is_empty() {
            // Steps of another `train scan` take another time.
            let since = self.recent.back().map_or((Duration::ZERO, 0.0), |(time, _, env)| (*time, *env));
            self.phase = p.phase;
            self.recent = VecDeque::from([(since.0, 0, since.1)]);
        }
        self.recent.push_back((p.elapsed, p.done, metrics.env_steps));
        while self.recent.len() > 2 && self.recent[1].0 + RECENT <= p.elapsed {
            self.recent.pop_front();
        }
        let last = p.done == p.total;
        match self.style {
            Style::Terminal => self.draw(p, last),
            Style::Lines if last || self.last_line.is_none_or(|t| p.elapsed >= t + LINE_EVERY) => {
                self.last_line = Some(p.elapsed);
                let mut line = format!("{}  {}", percent(p), self.speed(p));
                for value in self.values() {
                    if columns(&line) + 2 + columns(&value) > LINE_WIDTH {
                        break;
                    }
                    line += &format!("  {value}");
                }
                eprintln!("{line}");
            }
            Style::Lines | Style::Silent => {}
        }
    }

    /// A line of its own, above the bar. It is written in every style.
    pub fn note(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{text}")),
            None => eprintln!("{text}"),
        }
    }

    /// The bar stays as it is, and what is written next begins a line.
    pub fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            // Not drawn once more: what was typed, such as `^C`, may have moved it.
            bar.set_draw_target(ProgressDrawTarget::hidden());
            eprintln!();
        }
        self.style = Style::Silent;
    }

    fn look_at(&mut self, metrics: &Metrics) {
        for record in metrics.records.iter().skip(self.seen).filter(|r| r.name != ENV_STEPS) {
            if let (Some(at), Some(s)) = (self.names.iter().position(|n| *n == record.name), spread(&record.values)) {
                self.latest[at] = Some(s);
            }
        }
        self.seen = metrics.records.len();
    }

    fn draw(&mut self, p: &drive::Progress, last: bool) {
        let width = terminal_size::terminal_size_of(std::io::stderr()).map_or(80, |(w, _)| w.0 as usize).max(20);
        let lines = lines(width, &percent(p), &self.speed(p), &self.values());
        if width != self.drawn.0
            && let Some(old) = self.bar.take()
        {
            // The terminal has moved the lines about, nobody knows how: they stay, and the bar goes on below.
            old.set_draw_target(ProgressDrawTarget::hidden());
            eprintln!();
        }
        let target = || ProgressBar::with_draw_target(Some(p.total as u64), ProgressDrawTarget::stderr());
        let bar = self.bar.get_or_insert_with(target);
        if (width, lines.bar) != self.drawn {
            self.drawn = (width, lines.bar);
            let place = if lines.bar > 0 { format!("{{bar:{}}}", lines.bar) } else { String::new() };
            let template = format!("{place}{{msg}}");
            if let Ok(style) = ProgressStyle::with_template(&template) {
                bar.set_style(style.progress_chars("━╸─"));
            }
        }
        bar.set_length(p.total as u64);
        bar.set_position(p.done as u64);
        bar.set_message(lines.message);
        bar.tick();
        if last {
            // A later `train scan` has another bar, below.
            bar.abandon();
            self.bar = None;
            self.drawn = (0, 0);
        }
    }

    /// How fast it is, how long it has taken, and will take.
    fn speed(&self, p: &drive::Progress) -> Speed {
        let (from, now) = (self.recent[0], self.recent[self.recent.len() - 1]);
        let seconds = (now.0 - from.0).as_secs_f64().max(1e-9);
        let steps = (now.1 - from.1) as f64 / seconds;
        let env_steps = (now.2 - from.2) / seconds;
        let rate = match () {
            () if env_steps > 0.0 => format!("{} steps/s", si(env_steps)),
            () if steps >= 100.0 => format!("{} updates/s", si(steps)),
            () => format!("{steps:.1} updates/s"),
        };
        let left = (p.total - p.done) as f64 / steps.max(1e-9);
        Speed { rate, elapsed: clock(p.elapsed.as_secs_f64()), left: (p.done < p.total).then(|| clock(left)) }
    }

    /// The latest of each log, in the program's order.
    fn values(&self) -> Vec<String> {
        let value = |(name, latest): (&String, &Option<(f64, f64)>)| {
            let (mean, deviation) = (*latest)?;
            let spread = if self.runs > 1 { format!(" ± {}", short(deviation)) } else { String::new() };
            Some(format!("{name} {}{spread}", short(mean)))
        };
        self.names.iter().zip(&self.latest).filter_map(value).collect()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

struct Speed {
    rate: String,
    elapsed: String,
    left: Option<String>,
}

impl std::fmt::Display for Speed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}  {}", self.rate, self.elapsed)?;
        self.left.iter().try_for_each(|left| write!(f, ", {left} left"))
    }
}

fn percent(p: &drive::Progress) -> String {
    // All of them only at the end.
    format!("{:3.0} %", (100.0 * p.done as f64 / p.total.max(1) as f64).floor())
}

struct Lines {
    /// The bar's width; 0 where there is no room for one.
    bar: usize,
    /// What comes behind it, and on the lines below.
    message: String,
}

/// All that fits into so many columns. The last column stays free: a full line wraps on some terminals.
fn lines(width: usize, percent: &str, speed: &Speed, values: &[String]) -> Lines {
    let width = width - 1;
    let left = speed.left.as_ref().map_or(speed.elapsed.clone(), |l| format!("{l} left"));
    let heads = [
        format!("  {percent}  {speed}"),
        format!("  {percent}  {}  {left}", speed.rate),
        format!("  {percent}  {left}"),
    ];
    let head = heads.iter().find(|h| columns(h) + BAR.0 <= width);
    let (bar, head) = match head {
        // The bar keeps its width while numbers beside it change.
        Some(head) => ((width.saturating_sub(46)).clamp(BAR.0, BAR.1).min(width - columns(head)), head.clone()),
        None => (0, cut(percent, width)),
    };
    let mut rows: Vec<String> = Vec::new();
    let mut hidden = 0;
    for value in values {
        let value = cut(value, width);
        let count = rows.len();
        match rows.last_mut().filter(|row| columns(row) + 3 + columns(&value) <= width) {
            Some(row) if hidden == 0 => *row += &format!("   {value}"),
            None if hidden == 0 && count < VALUE_LINES => rows.push(value),
            Some(_) | None => hidden += 1,
        }
    }
    if hidden > 0 {
        rows.push(format!("and {hidden} more"));
    }
    Lines { bar, message: [head].into_iter().chain(rows).collect::<Vec<_>>().join("\n") }
}

/// Letters are one column wide, or few of a name are not.
fn columns(text: &str) -> usize {
    text.chars().count()
}

fn cut(text: &str, width: usize) -> String {
    if columns(text) <= width {
        return text.to_string();
    }
    // The name may be long; its value is at the end.
    let head: String = text.chars().take(width / 3).collect();
    let tail: Vec<char> = text.chars().rev().take(width - width / 3 - 1).collect();
    head + "…" + &tail.into_iter().rev().collect::<String>()
}

/// Four digits that count.
fn short(x: f64) -> String {
    match x.abs() {
        0.0 => "0".to_string(),
        size if !size.is_finite() => format!("{x}"),
        size if !(1e-4..1e6).contains(&size) => format!("{x:.2e}"),
        size => format!("{x:.*}", (3 - size.log10().floor() as i32).clamp(0, 6) as usize),
    }
}

/// `7 s`, `2:05`, `1:02:33`
fn clock(seconds: f64) -> String {
    let s = seconds.min(1e12) as u64;
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{}:{:02}", s / 60, s % 60),
        _ => format!("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn speed() -> Speed {
        Speed { rate: "312 k steps/s".into(), elapsed: "6 s".into(), left: Some("7 s".into()) }
    }

    fn values(n: usize) -> Vec<String> {
        (0..n).map(|k| format!("value_{k} 245.3 ± 41.0")).collect()
    }

    #[test]
    fn everything_fits_every_width() {
        for width in 20..220 {
            for n in [0, 1, 5, 40] {
                let l = lines(width, " 48 %", &speed(), &values(n));
                let mut rows = l.message.lines();
                assert!(l.bar + columns(rows.next().expect("a line")) < width, "{width}");
                assert!(rows.clone().all(|r| columns(r) < width), "{width}: {}", l.message);
                assert!(rows.clone().count() <= VALUE_LINES + 1);
                assert_eq!(rows.any(|r| r.ends_with(" more")), n == 40 && !l.message.contains("value_39"));
                assert!(l.message.contains("48 %"));
            }
        }
        let narrow = lines(40, " 48 %", &speed(), &values(2));
        assert_eq!(
            (narrow.bar, narrow.message.as_str()),
            (10, "   48 %  7 s left\nvalue_0 245.3 ± 41.0\nvalue_1 245.3 ± 41.0")
        );
        let wide = lines(200, " 48 %", &speed(), &values(2));
        assert_eq!(
            (wide.bar, wide.message.as_str()),
            (40, "   48 %  312 k steps/s  6 s, 7 s left\nvalue_0 245.3 ± 41.0   value_1 245.3 ± 41.0")
        );
    }

    #[test]
    fn numbers_and_times_are_short() {
        let said = [245.312, -0.01234, 0.0, 1234567.0, 3.2e-9, 99999.0, f64::NAN, -2.0].map(short);
        assert_eq!(said, ["245.3", "-0.01234", "0", "1.23e6", "3.20e-9", "99999", "NaN", "-2.000"]);
        assert_eq!([0.4, 59.9, 60.0, 3753.0].map(clock), ["0 s", "59 s", "1:00", "1:02:33"]);
    }

    #[test]
    fn speed_is_that_of_lately() {
        let mut metrics = Metrics::new(vec![ENV_STEPS.into()], 1);
        let mut progress = Progress::new(Style::Lines, vec![ENV_STEPS.into()], 1);
        let mut at = |seconds: u64, done: usize, progress: &mut Progress| {
            metrics.env_steps = done as f64 * 10.0;
            let elapsed = Duration::from_secs(seconds);
            let p = drive::Progress { phase: 1, done, total: 1000, elapsed };
            progress.update(&p, &metrics);
            progress.speed(&p).to_string()
        };
        assert_eq!(at(1, 100, &mut progress), "1 k steps/s  1 s, 9 s left");
        // Ten times as slow from then on.
        for k in 2..20 {
            at(k, 100 + 10 * (k as usize - 1), &mut progress);
        }
        assert_eq!(at(20, 290, &mut progress), "100 steps/s  20 s, 1:11 left");
        // A run that goes on is as fast as it is now.
        let mut resumed = Progress::new(Style::Lines, vec![ENV_STEPS.into()], 1);
        resumed.begin_at(1, 500, 5000.0);
        assert_eq!(at(1, 510, &mut resumed), "100 steps/s  1 s, 49 s left");
    }
}

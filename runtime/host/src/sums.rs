//! What one run logs, added up while it runs.

use crate::engine::LogValue;

/// Sums by step and log, each in the order in which its elements come, so that its bits depend on nothing else. It holds one sum for
/// each step and log since it was last asked, however much is logged.
#[derive(Clone, Debug, Default)]
pub struct Sums {
    values: Vec<LogValue>,
    /// For each log its place in `values`, of the step at hand.
    here: Vec<Option<usize>>,
    step: Option<u64>,
}

impl Sums {
    pub fn add(&mut self, log: u32, step: u64, value: f64) {
        if self.step != Some(step) {
            self.here.fill(None);
            self.step = Some(step);
        }
        let log_at = log as usize;
        if log_at >= self.here.len() {
            self.here.resize(log_at + 1, None);
        }
        match self.here[log_at] {
            Some(at) => {
                let sum = &mut self.values[at];
                (sum.value, sum.count) = (sum.value + value, sum.count + 1);
            }
            None => {
                self.here[log_at] = Some(self.values.len());
                // From +0, so that the sum of -0 alone is what it is of several.
                self.values.push(LogValue { log, step, value: 0.0 + value, count: 1 });
            }
        }
    }

    /// The sums since the last call.
    pub fn take(&mut self) -> Vec<LogValue> {
        self.step = None;
        std::mem::take(&mut self.values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_of_one_step_and_in_order() {
        let mut sums = Sums::default();
        // Another order would give 0.
        for x in [1e16, -1e16, 1.0] {
            sums.add(1, 5, x);
            sums.add(0, 5, -x);
        }
        sums.add(1, 6, 2.0);
        let value = |log, step, value, count| LogValue { log, step, value, count };
        assert_eq!(sums.take(), [value(1, 5, 1.0, 3), value(0, 5, -1.0, 3), value(1, 6, 2.0, 1)]);
        sums.add(1, 6, 3.0);
        assert_eq!(sums.take(), [value(1, 6, 3.0, 1)]);
    }
}

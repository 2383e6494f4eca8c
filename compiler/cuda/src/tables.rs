//! Tables of elementary functions, as constants of the module.

use std::fmt::Write;

use whorl_kernels::ops::Table;

/// Those that the module uses.
#[derive(Debug, Default)]
pub struct Tables(Vec<&'static Table>);

impl Tables {
    /// What a table is called in the module.
    pub fn name(&mut self, table: &'static Table) -> String {
        let known = self.0.iter().position(|t| std::ptr::eq(*t, table));
        let number = known.unwrap_or_else(|| {
            self.0.push(table);
            self.0.len() - 1
        });
        format!("table_{number}")
    }

    /// Their definitions: rows of eight numbers.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for (k, table) in self.0.iter().enumerate() {
            let numbers: Vec<String> = table.rows.iter().flatten().map(|x| format!("0x{:08x}", x.to_bits())).collect();
            // Writing to a string does not fail.
            let _ = writeln!(out, ".global .align 32 .b32 table_{k}[{}] = {{{}}};", numbers.len(), numbers.join(", "));
        }
        out
    }
}

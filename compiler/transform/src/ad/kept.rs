//! What reverse mode keeps of loops, read off a finished program.

use whorl_core::{Atom, Body, Checkpoint, Form, Op, Program, Spans};

/// A loop that a derivative goes through backward.
#[derive(Clone, PartialEq, Debug)]
pub struct Kept {
    pub spans: Spans,
    pub steps: usize,
    /// Of so many steps one state is kept.
    pub every: usize,
    /// Of the part of a state that the derivative needs.
    pub state_bytes: usize,
}

impl Kept {
    /// Bytes of states at once, if one of `every` steps were kept: those between blocks, and those of a block.
    pub fn bytes(&self, every: usize) -> usize {
        let states = if every <= 1 || every >= self.steps { self.steps } else { self.steps / every + every };
        states * self.state_bytes
    }

    pub fn now(&self) -> usize {
        self.bytes(self.every)
    }

    pub fn with(&self, policy: Checkpoint) -> usize {
        self.bytes(policy.every(self.steps))
    }
}

/// The loops of which states are kept, in the order of the program.
pub fn kept(program: &Program) -> Vec<Kept> {
    let mut found = Vec::new();
    body(program, &program.main.body, &mut found);
    found
}

fn body(program: &Program, of: &Body, found: &mut Vec<Kept>) {
    for stmt in &of.stmts {
        let Op::Form(form) = &stmt.op else { continue };
        if let Form::Scan(s) = &**form
            && let Checkpoint::Kept { steps, every } = s.checkpoint
        {
            let yields = &s.body.results[s.carries.len()..];
            let kept = s.carries.iter().filter(|c| yields.contains(&Atom::Var(c.var)));
            let state_bytes = kept.map(|c| program.vars.ty(c.var)).map(|t| t.size() * t.dtype.bytes()).sum();
            if steps > 0 && state_bytes > 0 {
                found.push(Kept { spans: stmt.spans.clone(), steps, every, state_bytes });
            }
        }
        form.bodies().into_iter().for_each(|b| body(program, b, found));
    }
}

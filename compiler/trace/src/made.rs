//! The derivatives that a script makes, as Core, for `whorl show --stage grad`.

use whorl_core::ir::{Body, Vars};
use whorl_core::{Atom, Builder, Function as CoreFunction};
use whorl_source::{Diagnostic, Span};
use whorl_transform::ad::{self, AdError, Vjp};

use crate::entry::main_arguments;
use crate::script::Script;
use crate::tracer::Tracer;
use crate::value::R;

/// A derivative, where it was made.
#[derive(Clone, Debug)]
pub struct Made {
    pub span: Span,
    /// Reverse mode: the results are gradients. Forward mode: the results are tangents.
    pub reverse: bool,
    /// What was differentiated.
    pub of: CoreFunction,
    /// The statements that differentiation wrote, and the gradients or tangents.
    pub body: Body,
}

impl Script {
    /// The derivatives that `main` makes, in the order in which they are made, and the variables of all of them.
    pub fn derivatives(&self) -> Result<(Vars, Vec<Made>), Vec<Diagnostic>> {
        let args = main_arguments(self)?;
        let mut found = Vec::new();
        let traced = self.traced(|t| {
            t.derivatives = Some(Vec::new());
            let (params, result) = t.entry("main", args)?;
            found = t.derivatives.take().unwrap_or_default();
            Ok((params, result))
        })?;
        Ok((traced.program.vars, found))
    }
}

impl<'a> Tracer<'a> {
    /// `ad::vjp` here.
    pub(crate) fn reverse_here(
        &mut self,
        f: &CoreFunction,
        points: &[Atom],
        wrt: &[bool],
        seed: impl FnOnce(&mut Builder, &[Atom]) -> Vec<Option<Atom>>,
        span: Span,
    ) -> R<Vjp> {
        let from = self.b.here().len();
        let made = ad::vjp(&mut self.b, f, points, wrt, seed);
        let made: Vjp = made.map_err(|e: AdError| self.ad_error(e, span))?;
        self.made(span, true, f, from, made.gradients.clone());
        Ok(made)
    }

    /// `ad::jvp` here: results and tangents.
    #[allow(clippy::type_complexity, reason = "as `ad::jvp` gives them")]
    pub(crate) fn forward_here(
        &mut self,
        f: &CoreFunction,
        points: &[Atom],
        directions: &[Option<Atom>],
        span: Span,
    ) -> R<(Vec<Atom>, Vec<Option<Atom>>)> {
        let from = self.b.here().len();
        let made = ad::jvp(&mut self.b, f, points, directions).map_err(|e| self.ad_error(e, span))?;
        self.made(span, false, f, from, made.1.iter().flatten().copied().collect());
        Ok(made)
    }

    fn made(&mut self, span: Span, reverse: bool, of: &CoreFunction, from: usize, results: Vec<Atom>) {
        let stmts = self.b.here();
        let Some(list) = &mut self.derivatives else { return };
        let body = Body { stmts: stmts.get(from..).unwrap_or(&[]).to_vec(), results };
        list.push(Made { span, reverse, of: of.clone(), body });
    }
}

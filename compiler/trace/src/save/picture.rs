//! Pictures: of grey values, or of colours along a last axis; films have the frames in front.

use whorl_core::DType;
use whorl_source::{Diagnostic, Span};

use super::{Options, SaveFormat};
use crate::tracer::{Tracer, fail};
use crate::value::{R, Value};

/// The longest side, in pixels, of a picture.
const LONGEST: usize = 32_768;

impl<'a> Tracer<'a> {
    pub(super) fn png(&self, v: &Value<'a>, span: Span, options: &Options<'_, 'a>) -> R<SaveFormat> {
        let scale = self.scale(options)?;
        self.picture(v, span, 0, scale)?;
        Ok(SaveFormat::Png { scale })
    }

    pub(super) fn gif(&self, v: &Value<'a>, span: Span, options: &Options<'_, 'a>) -> R<SaveFormat> {
        let scale = self.scale(options)?;
        self.picture(v, span, 1, scale)?;
        // Viewers slow down what is faster.
        let per_second = options.fps.map_or(Ok(20.0), |arg| self.option_number(arg, "fps", 0.01, 50.0))?;
        Ok(SaveFormat::Gif { scale, per_second })
    }

    fn scale(&self, options: &Options<'_, 'a>) -> R<usize> {
        let Some(arg) = options.scale else { return Ok(1) };
        let scale = self.option_number(arg, "scale", 1.0, 256.0)?;
        if scale.fract() == 0.0 {
            return Ok(scale as usize);
        }
        fail(Diagnostic::error("E0806", "`scale` is a whole number: the pixels of one element").at(arg.span, ""))
    }

    /// A picture with so many axes in front.
    pub(crate) fn picture(&self, v: &Value<'a>, span: Span, before: usize, scale: usize) -> R<()> {
        let what = match before {
            0 => "a picture is u8[h, w] (grey), u8[h, w, 3] (colours) or u8[h, w, 4], or the same of f32 from 0 to 1",
            _ => {
                "a film is u8[frames, h, w] (grey), u8[frames, h, w, 3] (colours) or u8[frames, h, w, 4], or the same of f32 from 0 to 1"
            }
        };
        let no = || Diagnostic::error("E0804", what).at(span, format!("this is {}", v.describe(&self.b)));
        let Value::Leaf(a) = v else { return fail(no()) };
        let ty = self.b.ty(*a);
        let sides = match ty.shape.get(before..) {
            Some([h, w] | [h, w, 3 | 4]) => [*h, *w],
            Some(shape) if before == 0 && matches!(shape, [_, _, _] | [_, _, _, 3 | 4]) => {
                return fail(no().help("`.gif` shows the pictures along the first axis one after the other"));
            }
            Some(shape) if before == 1 && matches!(shape, [_] | [_, 3 | 4]) => {
                return fail(no().help("`.png` is one picture"));
            }
            Some(_) | None => return fail(no()),
        };
        match ty.dtype {
            DType::U8 | DType::Bool | DType::F32 | DType::F64 | DType::F16 | DType::BF16 => {}
            DType::I32 | DType::U32 => {
                return fail(no().help("`u8(x)` for values from 0 to 255, or `f32(x) / largest`"));
            }
        }
        if ty.size() == 0 || sides.iter().any(|s| s * scale > LONGEST) {
            let e = Diagnostic::error("E0804", format!("a side of a picture has from 1 to {LONGEST} pixels"));
            return fail(e.at(span, format!("this is {}", v.describe(&self.b))));
        }
        Ok(())
    }
}
